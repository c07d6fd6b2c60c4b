"""The bridge to lm-evaluation-harness: sycojax's models in its command line, and the probes as its tasks.

``command`` is the console script ``sycojax-lm-eval``, ``model`` the class it registers, ``tasks`` writes the
probes as task files and ``exported`` is what those compute. Only ``model`` and ``command`` import
lm-evaluation-harness, which is an optional extra.
"""
