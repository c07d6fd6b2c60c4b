"""The published recipe to the letter where it can be: its prompts, full-text loss, 100 warm-up steps, one seed.

    sycojax study --config=configs/llama2_7b_published.py --workdir=runs/llama2_7b_published

For replication only, without a placebo. Probe questions stay in the training data and options keep their stored order, as published.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "llama2_7b_published"
    config.base.quantization = "nf4"  # and double quantisation; activations bfloat16, not float16
    config.data.recipe = "published"
    config.train.adapters = ("gsm8k", "mmlu", "hellaswag", "truthfulqa", "combined")
    config.train.seeds = (42,)
    config.train.warmup_steps = 100
    config.train.loss_average = "micro"
    config.train.micro_examples = 2
    return config
