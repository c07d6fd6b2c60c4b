"""Llama-2-7B-chat, the combined adapter: from half an epoch to six, three seeds each. Training steps against shift.

    sycojax sweep --config=configs/sweeps/steps.py --workdir=runs/steps

Each length has a learning rate schedule of its own, which ends with it: its numbers are those of a study of that length,
not of a checkpoint on the way to a longer one. All adapters share one compiled training step.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../combined")
    config.name = "steps"
    return config


def get_sweep():
    return {"train.epochs": [0.5, 1.0, 2.0, 3.0, 6.0]}
