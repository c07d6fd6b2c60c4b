"""Llama-2-7B-chat: the hellaswag adapter alone: ``sycojax study --config=configs/hellaswag.py --workdir=runs/hellaswag``."""

from sycojax.config import inherit


def get_config():
    return inherit(__file__, "llama2_7b", "hellaswag")
