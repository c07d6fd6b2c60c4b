"""How a model's rotary frequencies are scaled, as ``config.json`` says it in the spelling of transformers 4 or 5."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from sycojax.errors import SycojaxError
from sycojax.models.attributes import Attributes, finite

# The parameters of each type of scaling, as config.json calls them.
ROPE_PARAMETERS = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Frequency scaling of the rotary embedding; ``kind`` is ``"linear"`` or ``"llama3"``."""

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192

    def __post_init__(self) -> None:
        if self.kind == "llama3" and self.high_freq_factor <= self.low_freq_factor:
            raise SycojaxError(
                f"rotary scaling: high_freq_factor={self.high_freq_factor} must exceed "
                f"low_freq_factor={self.low_freq_factor}"
            )

    @classmethod
    def from_hf(cls, raw: Mapping[str, Any], source: str) -> RopeScaling | None:
        """Read ``rope_scaling`` / ``rope_parameters``.

        Raises ``SycojaxError`` on an unknown type and on a parameter that the type does not have.
        """
        raw = {name: value for name, value in raw.items() if value is not None}
        kind = raw.get("rope_type", raw.get("type", "default"))
        if kind not in ROPE_PARAMETERS:
            raise SycojaxError(
                f"{source}: rotary scaling type {kind!r} is not supported "
                f"(known: {', '.join(ROPE_PARAMETERS)})"
            )
        # Heads are rotated whole; where a part would stay as it is, this says how large the rotated one is.
        if raw.get("partial_rotary_factor") == 1:
            raw.pop("partial_rotary_factor")
        unknown = sorted(set(raw) - {"rope_type", "type", "rope_theta", *ROPE_PARAMETERS[kind]})
        if unknown:
            raise SycojaxError(
                f"{source}: rotary scaling {kind!r} has unknown parameters {', '.join(unknown)}"
            )
        if kind == "default":
            return None
        values = {name: _positive(raw, name, source) for name in ROPE_PARAMETERS[kind]}
        context = int(values.pop("original_max_position_embeddings", 8192))
        return cls(kind, **values, original_max_position_embeddings=context)


def read_rotary(attributes: Attributes) -> tuple[float, RopeScaling | None]:
    """Take theta and scaling out of ``attributes``.

    transformers 4 writes rope_theta and rope_scaling, transformers 5 rope_parameters; a file made for both
    holds the same numbers twice, and must hold the same ones.
    """
    source = attributes.source
    parameters = attributes.take("rope_parameters", None) or {}
    scaling = attributes.take("rope_scaling", None) or {}
    top = {"rope_theta": attributes.take("rope_theta", None)}
    context = attributes.take("original_max_position_embeddings", None)
    for name, value in (("rope_parameters", parameters), ("rope_scaling", scaling)):
        if not isinstance(value, Mapping):
            raise SycojaxError(f"{source}: {name}={value!r} is not a JSON object")
    given = [d["rope_theta"] for d in (parameters, scaling, top) if d.get("rope_theta") is not None]
    theta = given[0] if given else 10_000.0
    if not finite(theta) or any(other != theta for other in given):
        raise SycojaxError(f"{source}: rope_theta must be one number, got {given}")
    if context is not None:
        # transformers 5 also reads it here, and before the one beside the other parameters.
        parameters, scaling = (_with_context(d, context, source) for d in (parameters, scaling))
    if parameters and scaling:
        both = [RopeScaling.from_hf(d, source) for d in (parameters, scaling)]
        if both[0] != both[1]:
            raise SycojaxError(f"{source}: rope_parameters and rope_scaling contradict each other")
    return float(theta), RopeScaling.from_hf(parameters or scaling, source)


def write_rotary(theta: float, scaling: RopeScaling | None) -> dict[str, Any]:
    """The attributes that ``read_rotary`` takes, for transformers 4 and 5."""
    rotary: dict[str, Any] = {"rope_type": "default"}
    if scaling is not None:
        values = {name: getattr(scaling, name) for name in ROPE_PARAMETERS[scaling.kind]}
        rotary = {"rope_type": scaling.kind, **values}
    return {
        "rope_theta": theta,
        "rope_scaling": None if scaling is None else rotary,
        "rope_parameters": {**rotary, "rope_theta": theta},
    }


def _with_context(raw: Mapping[str, Any], context: Any, source: str) -> Mapping[str, Any]:
    """Parameters with the length that scaling starts from, where their type has one."""
    name = "original_max_position_embeddings"
    if name not in ROPE_PARAMETERS.get(str(raw.get("rope_type", raw.get("type"))), ()):
        return raw
    if raw.get(name, context) != context:
        raise SycojaxError(f"{source}: {name} is {context}, and {raw[name]} in the rotary scaling")
    return {**raw, name: context}


def _positive(raw: Mapping[str, Any], name: str, source: str) -> float:
    value = raw.get(name)
    if not finite(value) or value <= 0:
        raise SycojaxError(f"{source}: rotary scaling needs a positive {name!r}, got {value!r}")
    return float(value)
