"""From item records to statistics, figures and the report. NumPy, SciPy and matplotlib; never jax."""
