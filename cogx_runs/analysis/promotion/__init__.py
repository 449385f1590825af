"""Chooses candidates, pairs them with the finals made of them, and says whether the choice held.

Any module may be imported from the rooms above.
"""
