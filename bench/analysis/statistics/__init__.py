"""Intervals, tests and ranks."""
