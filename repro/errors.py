"""The one exception that reaches a user as a single line instead of a traceback."""


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, and what to do.

    Command-line entry points print it on one line to stderr and exit with status 2.
    """
