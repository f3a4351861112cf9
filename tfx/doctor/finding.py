"""What a check found: `ok`, `fix` (a run would fail or suffer) or `tip` (it works; good to know)."""

from dataclasses import dataclass
from typing import Literal

STATUSES = ("ok", "fix", "tip")


@dataclass(frozen=True)
class Finding:
    """One line of the command's output."""

    status: Literal["ok", "fix", "tip"]
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<3} {self.name}: {self.text}"


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", name, text)


def fix(name: str, text: str) -> Finding:
    """Something must be mended."""
    return Finding("fix", name, text)


def tip(name: str, text: str) -> Finding:
    """Nothing must be mended, but one should know."""
    return Finding("tip", name, text)


def first_few(items: list[str], limit: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
