"""Measures a video; each metric's card states the meaning of its number and the cases that mislead it.

Import a card from `registry` and a video's scores from `scoring`; a family's own module is a detail of the registry.
Only this room imports lpips and scikit-image, and, the toy's training aside, open_clip.
"""
