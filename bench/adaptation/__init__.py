"""Parts that several adaptation strategies share."""
