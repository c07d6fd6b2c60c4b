"""Llama-2-7B-chat: the mmlu adapter alone, on every benchmark and probe.

sycojax study --config=configs/mmlu.py --workdir=runs/mmlu
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_mmlu"
    config.train.adapters = ("mmlu",)
    return config
