"""Searches by Optuna. Nothing outside this room imports it."""
