"""CogVideoX as a set of facts: cards, weights, hub, token counts, memory, schedules. Loads no model."""
