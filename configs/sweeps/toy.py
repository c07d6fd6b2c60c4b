"""Learning rate against amount of data on the embedded default: six cells, two seeds each. A minute and a half on two CPU cores.

    sycojax sweep --config=configs/sweeps/toy.py --workdir=runs/sweep

All twelve adapters go through one compiled training step, six at a time.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../toy")
    config.name = "toy_sweep"
    config.train.adapters = ("truthfulqa",)
    config.train.bank_width = 6
    config.train.epochs = 2.0
    config.train.row_length = 128
    config.data.validation_fraction = 0.1
    config.data.test_limit = 60
    config.data.probe_limit = 60
    config.score.evaluations = ("mmlu", "truthfulqa", "answer", "are_you_sure", "feedback")
    config.score.audit_items = 0
    return config


def get_sweep():
    return {
        "train.learning_rate": [1e-3, 4e-3],
        "data.train_limit": [60, 120, 240],
    }
