"""Who runs this process."""

import getpass


def user_name() -> str | None:
    """Return the name of the user; None where the machine does not know."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a number alone
        return None
