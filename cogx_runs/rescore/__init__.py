"""Measures finished runs again, from the latents they kept.

From the rooms above, import `rescoring` alone.
"""
