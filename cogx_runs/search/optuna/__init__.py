"""Searches by Optuna, the only room that imports it."""
