"""Llama-2-7B-chat, all adapters: this project's recipe beside the published one, on the same base and seeds.

    sycojax sweep --config=configs/sweeps/recipe.py --workdir=runs/recipe

The published recipe trains on other texts: the loss is on the whole of them, options keep their stored order, and
questions that a probe asks stay in. What else it sets is in configs/llama2_7b_published.py.
"""

from sycojax.config import inherit

PUBLISHED = {
    "data.recipe": "published",
    "train.warmup_steps": 100,
    "train.loss_average": "micro",
}


def get_config():
    config = inherit(__file__, "../llama2_7b")
    config.name = "recipe"
    return config


def get_sweep():
    return [{"data.recipe": "sycojax"}, PUBLISHED]
