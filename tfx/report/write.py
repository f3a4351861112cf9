"""Puts the page together and writes it: `penstock report`."""

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from penstock.tfx import durable
from penstock.tfx.report import (
    data,
    environment,
    evaluation,
    headline,
    serving,
    steps,
    training,
)
from penstock.tfx.report.collect import Run, collect
from penstock.tfx.store import open_store

HERE = Path(__file__).parent


def write_report(run: str | None, directory: str, database: str | None, output: str | None) -> int:
    """Writes the page of a run (None: the newest) and prints where it is; returns the exit code."""
    store = open_store(directory, database)
    found = collect(store, store.resolve_run(run))
    path = Path(output) if output else store.run_directory(found.name) / "report.html"
    if path.is_dir():
        raise ValueError(
            f"`--output` must be a file, not a folder. Received: {output!r}. "
            f"Name the file in it: {path / 'report.html'}."
        )
    durable.write_text(path.absolute(), render(found))
    print(f"report: {path}")
    return 0


def render(run: Run) -> str:
    """The page as HTML."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["code"] = _code
    text = templates.get_template("page.html.j2").render(
        run=run,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        headline=headline.section(run),
        steps=steps.section(run),
        data=data.section(run),
        training=training.section(run),
        evaluation=evaluation.section(run),
        serving=serving.section(run),
        environment=environment.section(run),
    )
    # File names that are no UTF-8 reach us as lone surrogates, which no file can hold.
    return text.encode("utf-8", "replace").decode()


def _code(text: str) -> Markup:
    """A sentence, escaped, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
