"""Proposes the trials of a search, and ranks what became of them.

Any module may be imported from the rooms above. Only this room imports Optuna.
"""
