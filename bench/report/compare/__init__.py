"""Two versions' results side by side."""
