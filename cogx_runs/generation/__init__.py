"""CogVideoX through diffusers: load, place, generate, decode. Nothing outside this room imports diffusers."""
