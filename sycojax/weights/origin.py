"""Whether an adapter belongs to a base: by what it says of itself, and by the weights it was trained on.

Shapes alone cannot tell Llama-2-7B from Llama-2-7B-chat, and an adapter of the one measured on the other is a number
about neither.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json
from sycojax.weights.fingerprint import weights_fingerprint
from sycojax.weights.hub import hub_id
from sycojax.weights.peft_settings import base_of

ORIGIN = "sycojax.json"  # beside an exported adapter


def write_origin(directory: Path, base_name: str, base_weights: str) -> None:
    """Say beside an adapter which weights it was trained on (``weights_fingerprint``)."""
    write_json(directory / ORIGIN, {"base": base_name, "base_weights": base_weights})


def check_origin(adapter: Path, base: Path, base_name: str | Path) -> None:
    """Compare an adapter's base with ``base`` (a directory, known to the user as ``base_name``).

    Raises ``SycojaxError`` when the adapter carries a fingerprint and ``base`` has other weights. Without one, a
    different name is a warning only: the same model lies under many paths.
    """
    written = adapter / ORIGIN
    origin = read_json(written) if written.is_file() else {}
    expected = origin.get("base_weights") if isinstance(origin, Mapping) else None
    own = base_of(adapter)
    if expected:
        if weights_fingerprint(base) != expected:
            raise SycojaxError(
                f"{adapter}: {base_name} has other weights than those the adapter was trained on (it names "
                f"{own or 'no base'}): give it its own base, or delete {written} if you know that only the rounding differs"
            )
    elif own and _last(own) not in (_last(str(base_name)), _last(str(base))):
        warnings.warn(
            f"{adapter} says it was made for {own}, and is used on {base_name}: the shapes fit, but only the same "
            "weights give meaningful numbers",
            stacklevel=2,
        )


def _last(name: str) -> str:
    """The model's own name, whatever the organisation or the directory above it."""
    return PurePosixPath(hub_id(name) or name.replace("\\", "/")).name.lower()
