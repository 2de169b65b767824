"""The fast memory engine: the library's neural memory and attention, computed another way from the same parameters."""
