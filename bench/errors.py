"""What goes wrong that is not a bug of this package: a user's mistake, a worker that is gone."""


class BenchError(Exception):
    """A mistake in what the user gave: the message names it, what was expected, and the way out.

    The command line prints it without a traceback and exits with status 2.
    """


class WorkerLostError(Exception):
    """A worker process was killed from outside, or ran out of memory; what was done before is kept."""
