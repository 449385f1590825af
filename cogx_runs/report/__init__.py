"""Writes runs as one self-contained page that can be mailed.

From the rooms above, import `folder` alone. Only this room imports Jinja2 and matplotlib.
"""
