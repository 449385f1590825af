"""Brings a plan's cells to their end: the executor, its worker, and what they share."""
