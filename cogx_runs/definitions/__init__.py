"""Reads what the user writes into frozen models: parameters, sweep files, ranges, prompts, resolved cells.

Any module may be imported from the rooms above; none loads a model or reads a tracking store.
"""
