"""Llama-2-7B-chat: the gsm8k adapter alone, on every benchmark and probe.

sycojax study --config=configs/gsm8k.py --workdir=runs/gsm8k
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_gsm8k"
    config.train.adapters = ("gsm8k",)
    return config
