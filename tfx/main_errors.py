"""From what a command raised to one message on stderr and an exit code; tracebacks only for bugs."""

import os
import sys
from collections.abc import Callable

import click

FAILED, FAULT, INTERRUPTED = 1, 2, 130


def exit_code_of(command: Callable[[], int | None]) -> int:
    """Runs a command and says what went wrong."""
    try:
        return _run(command)
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # The reader has gone (`| head`) or the disk is full; Python would complain at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(command: Callable[[], int | None]) -> int:
    from penstock.tfx.durable import DiskFull
    from penstock.tfx.lease import LeaseHeld
    from penstock.tfx.store import StoreUnusable

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
    except (BrokenPipeError, SystemExit):  # click leaves so when the reader of our output has gone
        return 0
    except DiskFull as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAILED
    except (ValueError, LeaseHeld, StoreUnusable, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAULT


def open_standard_streams() -> None:
    """A closed stdin, stdout or stderr becomes the null device.

    Otherwise the next file that is opened (the database) would get its number, and whatever is
    printed would end in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
