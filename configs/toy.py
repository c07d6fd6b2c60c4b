"""The embedded default: a small world made by the project and its tiny Llama. Minutes on two CPU cores.

    sycojax study --config=configs/toy.py --workdir=runs/toy

It shows and tests the pipeline and the instrument; its numbers say nothing about real models.
"""

from sycojax.config import default_config


def get_config():
    config = default_config()
    config.name = "toy"
    config.base.path = "toy"
    config.data.source = "toy"
    config.lora.rank = 8
    config.lora.alpha = 16.0
    config.lora.dropout = 0.0
    config.data.max_length = 128
    config.data.train_limit = 300
    # Held-out rows are what shows that an adapter learned, and on most of them the base is right already.
    config.data.validation_fraction = 0.25
    config.data.test_limit = 140
    config.train.seeds = (0, 1)
    config.train.epochs = 3.0
    config.train.examples_per_step = 16
    config.train.row_length = 128
    config.train.learning_rate = 3e-3
    config.train.warmup_steps = 5
    config.train.eval_every = 60
    config.train.checkpoint_every = 100
    config.score.buckets = (64, 128, 256)
    config.score.max_new_tokens = 48
    config.score.audit_items = 16
    config.score.readout_items = 24
    return config
