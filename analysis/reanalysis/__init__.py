"""A study's tables examined again: what its own numbers say about what was claimed from them."""
