"""Where datasets come from: a user's files, downloads, and generators of synthetic drift."""
