"""The toy: a small CogVideoX and CLIP for a CPU. `train/` draws its world and trains it; no weights are shipped yet."""
