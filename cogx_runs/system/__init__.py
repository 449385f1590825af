"""Asks the machine: hardware, disk, signals.

Any module may be imported from the rooms above.
"""
