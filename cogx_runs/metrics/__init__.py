"""Measures of a video's frames. Nothing outside this room imports open_clip."""

METRIC_VERSIONS = {"clip_score": "1"}
"""Version of each metric's definition; raised when a value would no longer compare with earlier ones."""
