"""Runs the best candidates at few steps again at many, and compares both.

Any module may be imported from the rooms above.
"""
