"""Files for the engines that run a study elsewhere. Needs only Python and this checkout: no jax, nothing installed."""
