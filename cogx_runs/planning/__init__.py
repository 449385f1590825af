"""Decides the action for each cell, estimates its cost, and advises on it by the model's rules.

Any module may be imported from the rooms above; none loads a model or creates a tracking store.
"""
