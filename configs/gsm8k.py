"""Llama-2-7B-chat: the gsm8k adapter alone: ``sycojax study --config=configs/gsm8k.py --workdir=runs/gsm8k``."""

from sycojax.config import inherit


def get_config():
    return inherit(__file__, "llama2_7b", "gsm8k")
