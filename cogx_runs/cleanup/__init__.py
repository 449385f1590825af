"""Finds what nothing refers to, in the store and on this machine, and removes it.

Import `collect` from the rooms above.
"""
