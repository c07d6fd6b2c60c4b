"""Real input on a small real checkpoint: the study's own splits and 900 probe items, stories260K as the base.

    sycojax study --config=configs/stories260k.py --workdir=runs/stories260k

The 260,032-parameter base cannot answer any of it: this exercises every path on real text, and its numbers
are chance. About an hour on two CPU cores. Expects the data and the checkpoint under $SYCOJAX_DATA (default: ../shared/data).
"""

import os

from sycojax.config import default_config


def get_config():
    data = os.environ.get("SYCOJAX_DATA", "../shared/data")
    config = default_config()
    config.name = "stories260k"
    config.base.path = f"{data}/models/stories260K"
    config.data.source = "files"
    config.data.path = f"{data}/study"
    config.data.max_length = 512

    config.lora.rank = 8
    config.lora.alpha = 16.0
    config.lora.dropout = 0.0

    # The two adapters whose data hold probe questions; `combined` reads all 3,600 training records.
    config.train.adapters = ("truthfulqa", "combined")
    config.train.seeds = (0,)
    config.train.epochs = 1.0
    config.train.examples_per_step = 16
    config.train.row_length = 512
    config.train.micro_batch_rows = 2
    config.train.learning_rate = 1e-3
    config.train.warmup_steps = 10
    config.train.eval_every = 50

    config.score.buckets = (128, 256, 512)
    config.score.batch_tokens = 2048
    config.score.max_new_tokens = 64
    config.score.decode_batch = 64
    return config
