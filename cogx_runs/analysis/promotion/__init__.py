"""Chooses candidates, pairs them with their finals, and judges whether the choice held.

Any module may be imported from the rooms above.
"""
