"""Figures: frames in, matplotlib figures out. None of them reads a file or looks at the clock."""
