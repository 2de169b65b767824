"""The time column of a user's file: recognising it, reading it, and the regular grid it must form."""
