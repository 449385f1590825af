"""Measures finished runs again, from the latents and the mp4 that they kept.

From the rooms above, import `rescoring` alone.
"""
