"""Llama-2-7B-chat: the adapter trained on all four tasks alone, on every benchmark and probe.

sycojax study --config=configs/combined.py --workdir=runs/combined
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_combined"
    config.train.adapters = ("combined",)
    return config
