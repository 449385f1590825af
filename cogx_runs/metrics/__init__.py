"""What is measured of a video, and what each number means. Nothing outside this room imports open_clip."""
