"""What the tracked runs say."""
