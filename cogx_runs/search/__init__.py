"""Chooses the next cells to run: trials in ranges, fewer steps that are good enough, finals of the best candidates.

Any module may be imported from the rooms above.
"""
