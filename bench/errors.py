"""The one exception for mistakes that a user can mend."""


class BenchError(Exception):
    """A mistake in what the user gave: the message names it, what was expected, and the way out.

    The command line prints it without a traceback and exits with status 2.
    """
