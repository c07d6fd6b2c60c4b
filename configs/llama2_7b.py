"""The study on Llama-2-7B-chat with the published recipe's sizes and optimiser, and sycojax's prompts.

    sycojax study --config=configs/llama2_7b.py --workdir=runs/llama2_7b

Needs access to the base model on the hub (or --config.base.path=DIRECTORY) and an accelerator.
"""

from sycojax.config import default_config


def get_config(adapter: str = ""):
    """``adapter``: the only one to train, as in configs/gsm8k.py; otherwise all are."""
    config = default_config()
    config.name = f"llama2_7b_{adapter}" if adapter else "llama2_7b"
    config.base.path = "meta-llama/Llama-2-7b-chat-hf"
    config.base.chat_template = "llama2"  # the study's own; the checkpoint's strips white space
    config.base.dtype = "bfloat16"

    config.lora.rank = 16
    config.lora.alpha = 32.0
    config.lora.dropout = 0.1

    config.data.source = "hub"
    config.data.max_length = 512

    if adapter:
        config.train.adapters = (adapter,)
    config.train.seeds = (0, 1, 2)
    config.train.epochs = 3.0
    config.train.examples_per_step = 16
    config.train.row_length = 512
    config.train.logits_chunk = 1024
    config.train.learning_rate = 2e-4
    config.train.warmup_steps = (
        20  # the published 100 exceed the 99 steps of its truthfulqa adapter
    )
    config.train.weight_decay = 0.01
    config.train.clip_norm = 1.0

    config.score.batch_tokens = 16384
    config.score.decode_batch = 64
    config.score.max_new_tokens = 512
    return config
