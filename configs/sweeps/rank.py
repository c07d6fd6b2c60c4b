"""Llama-2-7B-chat, the combined adapter: LoRA rank 4, 16 and 64 at the same scaling, three seeds each.

    sycojax sweep --config=configs/sweeps/rank.py --workdir=runs/rank

The base is loaded and scored once for all ranks; each has a compiled training step of its own.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../combined")
    config.name = "rank"
    return config


def get_sweep():
    return [{"lora.rank": rank, "lora.alpha": 2.0 * rank} for rank in (4, 16, 64)]
