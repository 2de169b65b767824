"""What is measured around a stream, and what keeps one run from touching the next."""
