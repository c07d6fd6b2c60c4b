"""From item records to the report, in NumPy, SciPy and matplotlib; never jax. Every wing imports only those before it.

``records`` what was measured - ``statistics`` intervals and tests - ``page`` text, tables and blocks - ``calibration`` planted
against measured - ``results`` all numbers of a study - ``audits`` when not to believe a number - ``verdicts`` what may be
said - ``figures`` - ``report`` the page of a study - ``sweep`` that of many - ``reanalysis`` the claims of a
published study against its own tables.
"""
