"""Measure adapters that were trained elsewhere, on any base that is read (docs/adapters.md): nothing is trained.

    sycojax study --config=configs/measure.py --config.base.path=BASE --workdir=runs/mine --adapter=mine=ADAPTER

Data, prompts and probes are those of the study (the hub's; see README.md for local files). --adapter may be
given any number of times; mine-s0=..., mine-s1=... are seeds of one adapter.
"""

from sycojax.config import inherit


def get_config():
    config = inherit(__file__, "llama2_7b")
    config.name = "measure"
    config.train.adapters = ()
    return config
