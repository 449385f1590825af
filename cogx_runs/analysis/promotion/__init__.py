"""Candidates at few steps and the finals made of them: which are chosen, and whether the choice held."""
