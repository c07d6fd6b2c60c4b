"""What a stage computed, by its counts, and what the report makes of it."""

from __future__ import annotations

from tiny_models import TIED

from analysis.report.contents import run
from sycojax.study.effort import of_scoring, of_training, product_speed
from tests import training_cases as training


def test_counts_become_work() -> None:
    c = TIED
    layers = (
        2 * c.hidden_size * (c.query_size + c.key_size) + 3 * c.hidden_size * c.intermediate_size
    )
    assert c.projection_parameter_count == c.num_hidden_layers * layers
    summaries = {name: {"tokens": 70, "processed_tokens": 100} for name in ("a-s0", "b-s0")}
    assert of_training(summaries, c) == {
        "tokens": 200,
        "least": 140,
        "flops": 4 * 200 * c.num_hidden_layers * layers,
    }
    counts = {
        "padded_tokens": 120, "unique_tokens": 100, "prompt_tokens": 7, "padded_prompt_tokens": 16,
        "generated_tokens": 9, "decode_step_rows": 32,
    }  # fmt: skip
    assert of_scoring(counts, c) == {
        "tokens": 168,
        "least": 116,
        "flops": 2 * 168 * c.num_hidden_layers * layers,
    }


def test_the_report_sets_them_beside_a_product() -> None:
    done = {"tokens": 3000.0, "least": 2000.0, "flops": 4e12, "seconds": 40.0}
    table = run.work({"work": {"train": done}, "product_flops": 2e11})
    said = " ".join(str(getattr(cell, "text", cell)) for row in table.rows for cell in row)
    for figure in ("3,000", "2,000", "1.50", "100.0", "50%"):
        assert figure in said, said
    assert "200 GFLOP/s" in table.caption
    unknown = run.work({"work": {"train": done}})
    assert "of what one matrix product" in unknown.caption
    assert "%" not in " ".join(str(getattr(c, "text", c)) for row in unknown.rows for c in row)


def test_a_product_is_timed_here() -> None:
    assert product_speed(training.make_base()) > 0
