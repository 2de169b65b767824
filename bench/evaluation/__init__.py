"""One run, from its specification to its scores: pre-training, the stream, metrics, isolation."""
