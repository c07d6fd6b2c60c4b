"""How the embedded base was made, ``python -m pretraining.toy``, and the embedded sample drawn, ``python -m pretraining.sample``.

Nothing of the installed package needs it.
"""
