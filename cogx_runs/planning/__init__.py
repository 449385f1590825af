"""Decides what is to be done for each cell, what it will cost, and what the model's rules say of it.

Any module may be imported from the rooms above; none loads a model or creates a tracking store.
"""
