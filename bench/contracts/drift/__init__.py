"""What a known drift is: its kind, its transition, and the truth that is kept with the series."""
