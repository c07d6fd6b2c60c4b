"""How fast sycojax is beside its peers: one command per benchmark, both sides interleaved in one run."""

import os

# Both sides share a GPU's memory; JAX would take most of it at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
