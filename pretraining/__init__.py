"""How the embedded base was made: ``python -m pretraining.toy``. Nothing of the installed package needs it."""
