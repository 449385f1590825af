"""Draws the world of the toy and trains its models.

Nothing of the package imports it, and the wheel leaves it out.
"""
