"""Finds what to run next: trials in ranges, fewer steps that are good enough, finals of the best candidates.

Any module may be imported from the rooms above.
"""
