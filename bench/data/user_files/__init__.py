"""Files that come from a user or from elsewhere: fetched, read as tables, mended, made a series."""
