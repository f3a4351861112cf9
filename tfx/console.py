"""What a person sees while a run goes on: one live line for each step, or plain lines.

Plain lines where the output is no terminal, on stderr where stdout must stay JSON.
"""

import contextlib
import sys
import threading
import time
from typing import TextIO

PLAIN_PROGRESS_SECONDS = 10.0
SHORT, LONGEST = 60, 160
"""Characters of a value that stands beside others, and of a line that has one alone."""
NOTES = ("damaged", "retried", "changed")


def console_for(steps: list[str], run: str, as_json: bool):
    """The right console for this terminal."""
    if as_json:
        return PlainConsole(steps, run, sys.stderr)
    if sys.stdout.isatty():
        return LiveConsole(steps, run)
    return PlainConsole(steps, run, sys.stdout)


def show_value(value: object) -> str:
    """A value behind a step's bar, short."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_values(values: dict) -> str:
    """All values behind a step's bar but those that are sentences."""
    return "  ".join(
        f"{name} {show_value(value)}" for name, value in values.items() if not _is_sentence(value)
    )


def sentences(values: dict) -> list[str]:
    """Values that need a line of their own; the report has what is cut off."""
    told = [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in values.items()
        if _is_sentence(value)
    ]
    return [cut(text) for text in told]


def cut(text: str) -> str:
    """A sentence as long as a line may be."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and len(value) > SHORT


class PlainConsole:
    """A line when a step has ended, and now and then while a long one runs."""

    def __init__(self, steps: list[str], run: str, stream: TextIO):
        self._width = max(len(name) for name in steps)
        self._stream = stream
        self._running: dict[str, dict] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="console", daemon=True)
        self._print(f"run {run}")

    def __enter__(self) -> "PlainConsole":
        self._watcher.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        """A step may say nothing for minutes (a large download, XLA); the user must not wonder."""
        while not self._ended.wait(1.0):
            self.remind()

    def remind(self) -> None:
        """Says which steps are still running, if nothing has been said of them for long."""
        with self._lock:
            now = time.monotonic()
            for step, running in self._running.items():
                if now - running["said"] >= PLAIN_PROGRESS_SECONDS:
                    self._say(step, f"{now - running['started']:6.0f} s, still running")

    def _print(self, line: str) -> None:
        # A run must not die because nobody reads its progress any more (`| head`).
        with contextlib.suppress(OSError):
            print(line, file=self._stream, flush=True)

    def observe(self, step: str, what: str, facts: dict) -> None:
        """Says what has happened, if it is worth a line."""
        with self._lock:
            self._observe(step, what, facts)

    def _observe(self, step: str, what: str, facts: dict) -> None:
        name = step.ljust(self._width)
        if what in ("executed", "cached", "retried", "damaged"):
            self._running.pop(step, None)
        if what in ("executed", "cached"):
            took = "  cached" if what == "cached" else f"{facts['seconds']:6.1f} s"
            self._print(f"{name}  {took}  {show_values(facts['summary'])}")
            for text in sentences(facts["summary"]):
                self._print(f"{'':{self._width}}            {text}")
        elif what in NOTES:
            self._print(f"{name}  {what}: {facts['error']}")
        elif what == "started":
            now = time.monotonic()
            self._running[step] = {"started": now, "said": now, "values": {}}
        elif what == "progress" and step in self._running:
            running = self._running[step]
            running["values"] |= facts["values"]
            is_time = time.monotonic() - running["said"] >= PLAIN_PROGRESS_SECONDS
            if facts["total"] and is_time:
                share = f"{facts['done']}/{facts['total']}"
                self._say(step, f"{share:>8}")

    def _say(self, step: str, how_far: str) -> None:
        running = self._running[step]
        running["said"] = time.monotonic()
        name = step.ljust(self._width)
        self._print(f"{name}  {how_far}  {show_values(running['values'])}".rstrip())


class LiveConsole:
    """One line for each step, redrawn in place: mark, name, time, bar, values."""

    MARKS = {
        "waiting": "[dim]·[/]",
        "queued": "[dim]·[/]",
        "started": "[cyan]▶[/]",
        "executed": "[green]✔[/]",
        "cached": "[green]⚡[/]",
        "stopped": "[red]■[/]",
        "failed": "[red]✘[/]",
    }

    def __init__(self, steps: list[str], run: str):
        from rich.live import Live

        self._run = run
        self._lines = {name: {"what": "waiting", "values": {}, "notes": []} for name in steps}
        self._live = Live(get_renderable=self._table, refresh_per_second=8)

    def __enter__(self) -> "LiveConsole":
        self._live.__enter__()
        return self

    def __exit__(self, kind, *rest) -> None:
        for line in self._lines.values():
            if line["what"] == "started":
                line["what"] = "failed"
        self._live.__exit__(kind, *rest)

    def observe(self, step: str, what: str, facts: dict) -> None:
        """Keeps what is to be drawn; the live display draws it."""
        line = self._lines[step]
        if what == "progress":
            line |= {"done": facts["done"], "total": facts["total"]}
            line["values"].update(facts["values"])
        elif what in NOTES:
            line["notes"].append(f"{what}: {facts['error']}")
        else:
            line["what"] = what
            if what == "started":
                line["started"] = time.monotonic()
            if what in ("executed", "cached"):
                line["seconds"] = facts["seconds"]
                line["values"] = facts["summary"]
                line["notes"] += sentences(facts["summary"])
                if facts["gate"]:
                    line["what"] = "stopped"
                    line["notes"].append(facts["gate"])

    def _table(self):
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for name, line in self._lines.items():
            table.add_row(
                Text.from_markup(self.MARKS[line["what"]]), name, self._time(line), self._rest(line)
            )
            for note in line["notes"]:
                table.add_row("", "", "", Text(note, style="yellow"))
        return table

    @staticmethod
    def _time(line: dict):
        from rich.text import Text

        if line["what"] == "cached":
            return Text("cached", style="dim", justify="right")
        seconds = line.get("seconds") if line["what"] in ("executed", "stopped") else None
        if line["what"] == "started":
            seconds = time.monotonic() - line["started"]
        return Text("" if seconds is None else f"{seconds:.1f} s", justify="right")

    @staticmethod
    def _rest(line: dict):
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        values = Text(show_values(line["values"]), style="dim", overflow="fold")
        if line["what"] == "started" and line.get("total"):
            bar = ProgressBar(total=line["total"], completed=line["done"] or 0, width=20)
            row = Table.grid(padding=(0, 1))
            row.add_row(bar, values)
            return row
        return values
