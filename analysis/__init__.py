"""From item records to the report, in NumPy, SciPy and matplotlib; never jax. Every wing imports only those before it.

``records`` what was measured - ``statistics`` intervals and tests - ``results`` all numbers of a study - ``page`` text,
tables and blocks - ``audits`` when not to believe a number - ``calibration`` planted against measured - ``verdicts``
what may be said - ``figures`` - ``report`` the page of a study - ``sweep`` that of many - ``reanalysis`` the claims of a
published study against its own tables.
"""
