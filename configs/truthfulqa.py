"""Llama-2-7B-chat: the truthfulqa adapter alone: ``sycojax study --config=configs/truthfulqa.py --workdir=runs/truthfulqa``."""

from sycojax.config import inherit


def get_config():
    return inherit(__file__, "llama2_7b", "truthfulqa")
