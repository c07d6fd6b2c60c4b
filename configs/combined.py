"""Llama-2-7B-chat: the adapter trained on all four tasks alone: ``sycojax study --config=configs/combined.py --workdir=runs/combined``."""

from sycojax.config import inherit


def get_config():
    return inherit(__file__, "llama2_7b", "combined")
