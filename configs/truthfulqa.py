"""Llama-2-7B-chat: the truthfulqa adapter alone, on every benchmark and probe.

sycojax study --config=configs/truthfulqa.py --workdir=runs/truthfulqa
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_truthfulqa"
    config.train.adapters = ("truthfulqa",)
    return config
