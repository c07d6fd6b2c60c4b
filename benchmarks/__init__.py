"""How fast sycojax is beside its peers: one command per benchmark, both sides interleaved in one run."""
