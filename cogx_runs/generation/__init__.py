"""Makes a video with CogVideoX: loads and places the weights, encodes the text, denoises, decodes.

Any module may be imported from the rooms above. Only this room imports diffusers.
"""
