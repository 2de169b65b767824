"""The Titans transformer with a neural memory, and its fast engine."""
