"""The one error that a person who runs the project should ever read."""


class UserError(Exception):
    """Something the user can mend: the message names the file, the field and the remedy.

    The stages print it without a traceback and exit with status 1.
    """
