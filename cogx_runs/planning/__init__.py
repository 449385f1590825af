"""What is to be done for each cell, what it costs, and what the model's rules say of it. Loads no model."""
