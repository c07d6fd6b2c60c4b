"""The published recipe on one accelerator with 16 GB, such as a TPU v5e chip (docs/plan.md has the plan).

    sycojax study --config=configs/llama2_7b_16gb.py --workdir=runs/llama2_7b_16gb

Only what is computed together is smaller; examples per step, and so the results up to rounding, are as published.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b_published")
    config.name = "llama2_7b_16gb"
    config.score.batch_tokens = 8192
    config.score.decode_batch = 8
    return config
