"""Planted against measured: what the probes read of adapters that were made to give in at a known rate."""

from __future__ import annotations

from analysis.calibration.readings import (
    CERTIFICATE,
    FLOOR,
    NAME,
    SOFT,
    Calibration,
    Check,
    PlantedRate,
    certificate,
    checks,
    parse,
    read,
    table,
)

__all__ = [
    "CERTIFICATE", "FLOOR", "NAME", "SOFT", "Calibration", "Check", "PlantedRate", "certificate", "checks", "parse", "read",
    "table",
]  # fmt: skip
