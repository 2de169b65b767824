"""Markdown, LaTeX, CSV and numbers as text."""
