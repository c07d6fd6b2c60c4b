"""Llama-2-chat at 7B and 13B, and the 7B that was never tuned to chat: all adapters, three seeds each.

    sycojax sweep --config=configs/sweeps/base_model.py --workdir=runs/base_model

The bases are loaded one after the other. Each is compared with itself before training; the report shows them side by
side. On several devices each base is spread over as many as hold it.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "../llama2_7b")
    config.name = "base_model"
    return config


def get_sweep():
    models = ("Llama-2-7b-chat-hf", "Llama-2-13b-chat-hf", "Llama-2-7b-hf")
    return {"base.path": [f"meta-llama/{model}" for model in models]}
