"""Markdown tables, the machine in one line, and how the command line is called."""

import datetime
import os
import platform
import statistics
import sys
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
PENSTOCK = [sys.executable, "-P", "-c", "from penstock.tfx.main import main; main()"]


def table(columns: list[str], rows: list[list]) -> str:
    """A Markdown table; numbers to three significant digits or whole, None as a dash."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value) -> str:
    """One cell."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def spread(values: list[float]) -> list[float]:
    """Minimum, median and maximum."""
    return [min(values), statistics.median(values), max(values)]


def machine() -> str:
    """Where and when, for the head of a page of results."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.date.today()}, {os.cpu_count()} {platform.machine()} cores, "
        f"{memory:.0f} GB, Python {platform.python_version()}"
    )
