"""Llama-2-7B-chat: the hellaswag adapter alone, on every benchmark and probe.

sycojax study --config=configs/hellaswag.py --workdir=runs/hellaswag
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_hellaswag"
    config.train.adapters = ("hellaswag",)
    return config
