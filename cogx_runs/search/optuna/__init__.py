"""Proposes the trials of a search, and ranks their results.

Any module may be imported from the rooms above. Only this room imports Optuna.
"""
