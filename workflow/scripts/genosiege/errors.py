"""The one exception that speaks to a user."""


class InputError(ValueError):
    """A mistake in what a user gave: one line that says what, where and what to do.

    Everything that can be mended by changing the configuration, a data file or a
    checkpoint raises this. Scripts turn it into that one line and a failed job;
    any other exception is a fault of ours and keeps its traceback in the log.
    """
