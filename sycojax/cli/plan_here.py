"""``sycojax plan`` without a topology: how long each stage of a study takes on this machine."""

from __future__ import annotations

import time

from sycojax.cli.compilation_cache import store_compiled
from sycojax.config import StudyConfig
from sycojax.parallel.mesh import in_words
from sycojax.progress import span
from sycojax.study.budget import budget_line
from sycojax.study.estimate import here, seconds_of
from sycojax.weights.precision import exact_products, settled


def table(config: StudyConfig) -> str:
    """Measure a few steps and batches of the study, and say what all of it will take. Nothing is written."""
    store_compiled()
    started = time.perf_counter()
    config = settled(config)
    with exact_products(config.base.dtype):
        base, dropped, stages = here(config)
    devices = base.mesh.devices
    c, budget = base.config, []
    if config.score.budget_minutes:
        budget.append(f"budget    {budget_line(config, dropped, seconds_of(stages))}")
    return "\n".join([
        f"plan      {config.name} on this machine: {devices.size} x {devices.flat[0].device_kind}; mesh {in_words(base.mesh.shape)}",
        f"base      {config.base.path}: {c.base_parameter_count:,} parameters, {config.base.precision}, "
        f"{base.compute.attention} attention",
        *(f"{name:10}{span(stage.seconds):>12}   {stage.work}" for name, stage in stages.items()),
        f"{'all':10}{span(sum(stage.seconds for stage in stages.values())):>12}   without loading, compiling and the report",
        *budget,
        f"measured  on a few steps and batches, {span(time.perf_counter() - started)} with compiling: what else runs here counts",
    ])  # fmt: skip
