"""Options to try, tried on validation rows, and the choice served."""
