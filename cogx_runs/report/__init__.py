"""A sweep as one page that can be mailed."""
