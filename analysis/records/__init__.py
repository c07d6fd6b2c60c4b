"""What was measured: a study directory read back, its items and the strata of their questions."""
