"""The tables of the report, made from results and from what study.json says about the run.

``benchmarks``, ``probes`` the findings; ``controls`` what else could explain them; ``audited`` when not to believe them;
``run`` what was done.
"""
