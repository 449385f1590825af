"""Compares tracked runs: a DataFrame of them, effects with intervals, verdicts, interactions, rankings.

Any module may be imported from the rooms above. Only this room imports scipy and statsmodels.
"""
