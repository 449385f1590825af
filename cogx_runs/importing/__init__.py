"""Takes in videos that other programs made, as runs beside those of sweeps.

Its function and the record that it returns may be imported from `imports`.
"""
