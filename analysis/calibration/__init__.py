"""Planted against measured: adapters that were made to follow users at a known rate, and what the probes read off them.

A calibration is made by ``sycojax calibrate``. One that was made for the embedded base lies beside it as a certificate, so that
a study of that base has one without training dozens of adapters more.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

from analysis.records.load import section
from analysis.statistics import Estimate
from sycojax.errors import SycojaxError
from sycojax.files import read_json

NAME = "calibration"
CERTIFICATE = (
    "toy/base/calibration.json"  # in the package sycojax; shipped beside the base it speaks of
)


@dataclasses.dataclass(frozen=True)
class AtRate:
    """One contrast of a probe at one planted rate, the mean over seeds; as the verdicts take it, so net of its floor in arms."""

    net: Estimate
    floor: Estimate | None  # the contrast's own control, expected 0; None where the probe has none


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """One contrast of a probe: what it reads by planted rate, and least squares of read on planted."""

    probe: str
    contrast: str
    readout: str  # "" for a probe that has none
    base: AtRate  # nothing planted
    readings: Mapping[float, AtRate]  # by planted rate, rising
    slope: Estimate
    intercept: Estimate


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Everything that was planted in one base, and where it comes from."""

    contrasts: tuple[Calibrated, ...]
    document: Mapping[str, Any]
    certificate: bool  # shipped with the package, not made in this workdir

    @property
    def probes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.probe for c in self.contrasts))

    def of(self, probe: str, contrast: str) -> Calibrated | None:
        return next((c for c in self.contrasts if (c.probe, c.contrast) == (probe, contrast)), None)


def read(directory: Path, document: Mapping[str, Any]) -> tuple[Calibration | None, str]:
    """The calibration that counts for the study of ``document`` in ``directory``: made there, else the certificate.

    It counts where base, the way to compute it, tokenizer and chat template are those of the study, and for a probe of a user where
    its file is. The text says why a calibration that was made there does not count; "" where it does, or where there is none.
    Raises ``SycojaxError`` when a file is damaged.
    """
    own = Path(directory) / NAME / f"{NAME}.json"
    made = parse(read_json(own), str(own)) if own.is_file() else None
    if made and not _others(made.document, document):
        return _of_same_files(made, document)
    shipped = certificate()
    counts = shipped if shipped and not _others(shipped.document, document) else None
    if made is None:
        return counts, ""
    what = " and ".join(_others(made.document, document))
    return (
        counts,
        f"The calibration in this workdir was made with another {what}, and does not count.",
    )


def _of_same_files(
    made: Calibration, document: Mapping[str, Any]
) -> tuple[Calibration | None, str]:
    """Without the probes of a user that the study asked by another file, and what is left out, in words."""

    def file_of(one: Mapping[str, Any], probe: str) -> Any:
        return section(one, "probes", probe).get("sha256")

    others = [
        p for p in made.probes if file_of(document, p) not in (None, file_of(made.document, p))
    ]
    kept = tuple(c for c in made.contrasts if c.probe not in others)
    said = f"The calibration of {' and '.join(others)} in this workdir was made with another file than the study's, and does not count."
    return dataclasses.replace(made, contrasts=kept) if kept else None, said if others else ""


def _others(made: Mapping[str, Any], used: Mapping[str, Any]) -> list[str]:
    """What a calibration was made with that is not what a study used, in words."""
    return [name for name, known in _known_by(made).items() if known != _known_by(used)[name]]


def _known_by(document: Mapping[str, Any]) -> dict[str, Any]:
    basis, base = section(document, "basis"), section(document, "config", "base")
    return {
        "base": document.get("base_fingerprint"),
        "tokenizer": basis.get("tokenizer"),
        "chat template": basis.get("template"),
        "precision": (base.get("dtype"), base.get("quantization")),
    }


def of_embedded_base(document: Mapping[str, Any]) -> bool:
    """Whether a study.json is that of the base which the certificate speaks of.

    What the weights were decides; their path where no fingerprint was written down.
    """
    used, shipped = document.get("base_fingerprint"), certificate()
    if used:
        return shipped is not None and used == shipped.document["base_fingerprint"]
    path = str(section(document, "config", "base").get("path"))
    return path == "toy" or PurePath(path).parts[-2:] == ("toy", "base")


@functools.cache
def certificate() -> Calibration | None:
    """The certificate of the embedded base, or None where the package holds none."""
    file = resources.files("sycojax").joinpath(CERTIFICATE)
    if not file.is_file():
        return None
    return parse(read_json(Path(str(file))), CERTIFICATE, certificate=True)


def parse(document: Any, origin: str, *, certificate: bool = False) -> Calibration:
    """A calibration from its JSON document. Raises ``SycojaxError`` naming ``origin`` when it is not one."""
    try:
        contrasts = tuple(
            Calibrated(
                str(c["probe"]), str(c["contrast"]), str(document["readouts"].get(c["probe"], "")),
                _reading(c["base"]),
                {float(p["planted"]): _reading(p) for p in c["points"]},
                Estimate.from_json(c["slope"]), Estimate.from_json(c["intercept"]),
            )
            for c in document["contrasts"]
        )  # fmt: skip
        str(document["base_fingerprint"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SycojaxError(
            f"{origin} is not a calibration ({type(error).__name__}: {error}): make it again with sycojax calibrate"
        ) from error
    if not contrasts:
        raise SycojaxError(
            f"{origin} holds no planted adapter: make it again with sycojax calibrate"
        )
    return Calibration(contrasts, document, certificate)


def _reading(raw: Mapping[str, Any]) -> AtRate:
    floor = raw["floor"]
    return AtRate(Estimate.from_json(raw["net"]), Estimate.from_json(floor) if floor else None)
