"""Llama-2-7B-chat: the mmlu adapter alone: ``sycojax study --config=configs/mmlu.py --workdir=runs/mmlu``."""

from sycojax.config import inherit


def get_config():
    return inherit(__file__, "llama2_7b", "mmlu")
