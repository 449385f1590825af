"""Measures a video, and says what each number means and what fools it.

Import a card from `registry` and a video's scores from `scoring`; a family's own module is a detail of the registry.
Only this room imports open_clip, lpips and scikit-image.
"""
