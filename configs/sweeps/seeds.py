"""Llama-2-7B-chat, all adapters: ten seeds, each a cell of its own, so that they can run on ten machines.

    sycojax sweep --config=configs/sweeps/seeds.py --workdir=runs/seeds
    sycojax sweep --config=configs/sweeps/seeds.py --workdir=runs/seeds --emit=slurm > seeds.sh

In the report they are ten replicates of every adapter.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../llama2_7b")
    config.name = "seeds"
    return config


def get_sweep():
    return {"train.seeds": list(range(10))}
