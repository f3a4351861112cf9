"""From what a command raised to one message on stderr and an exit code; tracebacks only for bugs."""

import os
import sys
from collections.abc import Callable

import click

FAULT, INTERRUPTED = 2, 130


def exit_code_of(command: Callable[[], int | None]) -> int:
    """Runs a command and says what went wrong."""
    try:
        return command() or 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return FAULT
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not _is_users(error):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return FAULT


def _is_users(error: Exception) -> bool:
    """Whether the message is written for the user, who can do something about it."""
    from penstock.tfx.lease import LeaseHeld
    from penstock.tfx.store import StoreUnusable

    known: tuple = (ValueError, LeaseHeld, StoreUnusable, OSError)
    if "penstock.tfx.database" in sys.modules:
        from penstock.tfx.database import DatabaseUnreachable

        known += (DatabaseUnreachable,)
    return isinstance(error, known)
