"""The toy: a small made-up world as a source of rows. ``sycojax/toy/base`` is the tiny Llama that was pretrained on it.

It exists so that the whole study runs in minutes on a laptop and so that every instrument can be checked against a
planted truth. Benchmark levels, adapter gains and sycophancy rates are dials of ``world`` and of the pretraining text,
not findings: nothing here is evidence about real language models.
"""

WORLD_SEED = 12  # of the world that the shipped base knows; it knows nothing about any other
