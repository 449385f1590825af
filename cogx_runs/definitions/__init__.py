"""What the user writes, as frozen models: parameters, sweep files, ranges, prompts, and the cells they resolve to."""
