"""Llama-2-7B-chat, the combined adapter: learning rates from a quarter to four times the published one, three seeds each.

    sycojax sweep --config=configs/sweeps/learning_rate.py --workdir=runs/learning_rate

Fifteen adapters of one shape: they share one compiled training step, and --config.train.bank_width says how many of
them go through it together, as far as memory holds.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../combined")
    config.name = "learning_rate"
    return config


def get_sweep():
    return {"train.learning_rate": [5e-5, 1e-4, 2e-4, 4e-4, 8e-4]}
