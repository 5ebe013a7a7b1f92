"""The one exception that reaches a user as a single line instead of a traceback."""


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, and what to do.

    Command-line entry points print it on one line to stderr and exit with status 2.
    """

    def __str__(self) -> str:
        # A path or a key may hold a line end.
        return " ".join(super().__str__().splitlines())
