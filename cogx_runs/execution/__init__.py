"""Brings a plan's cells to their end: the executor, its worker, and what they share.

From the rooms above, import `executor` (the protocols), `local` (this machine) and `outcomes`. The loop over
the cells is in `loop`.
"""
