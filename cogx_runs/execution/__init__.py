"""Brings a plan's cells to their end: the executor, its worker, and what they share.

From the rooms above, import `executor` (the protocol), `local` (the loop on this machine), `session` and `outcomes`.
"""
