"""Finished runs are measured again, from the latents they kept."""
