"""Describes the models: cards, weights, hub, token counts, memory, schedules.

Any module may be imported from the rooms above; none loads a model.
"""
