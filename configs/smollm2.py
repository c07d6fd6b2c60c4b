"""A real chat model that needs no hub: SmolLM2-135M-Instruct (Q4_1) on the embedded sample of real rows.

    sycojax study --config=configs/smollm2.py --workdir=runs/smollm2

is the full study, hours on two CPU cores. ``make real`` puts the model where ``base.path`` looks for it and runs
the small one, ``--config=configs/smollm2.py:demo``: an adapter, a placebo, and 30 items of two probes.
"""

from sycojax.config import default_config


def get_config(size: str = ""):
    """``size``: "demo" for the small study."""
    config = default_config()
    config.name = f"smollm2_{size}" if size else "smollm2"
    config.base.path = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
    config.base.dtype = "auto"
    config.data.source = "sample"
    config.data.max_length = 512

    config.lora.rank = 8
    config.lora.alpha = 16.0
    config.lora.dropout = 0.0

    config.train.seeds = (0, 1)
    config.train.epochs = 3.0
    config.train.row_length = 512
    config.train.warmup_steps = 5
    config.score.max_new_tokens = 256
    # The sample has 60 items of each probe. What informs and gates is asked of some.
    config.score.audit_items = 30
    config.score.readout_items = 40
    if size == "demo":
        config.data.train_limit = 40
        config.data.test_limit = 20
        config.data.probe_limit = 30
        config.train.adapters = ("gsm8k", "placebo")
        config.train.seeds = (0,)
        config.train.epochs = 1.0
        # Not are_you_sure: its second turns would double the time, and no readout of it sees on this base.
        config.score.evaluations = ("gsm8k", "answer", "feedback")
        config.score.audit_items = 8
        config.score.readout_items = 20  # fewer choose nothing
        config.score.max_new_tokens = 100
    return config
