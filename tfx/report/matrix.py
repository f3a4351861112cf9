"""The confusion matrix: a picture of it, cut down to the classes with most errors where it is large."""

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle

from penstock.tfx.report import formats, svg

MOST_CLASSES = 20
MOST_CONFUSIONS = 10


def section(prefix: str, details: dict | None) -> dict | None:
    """Picture, number of classes left out and the most frequent confusions; None without a matrix.

    Args:
        details: {classes: names, counts: a row for each label, a column for each prediction}.
    """
    if not isinstance(details, dict) or not details.get("classes"):
        return None
    names, counts = list(details["classes"]), np.asarray(details["counts"], np.int64)
    if counts.shape != (len(names), len(names)):
        return None
    wrong = counts - np.diag(counts.diagonal())
    chosen = np.arange(len(names))
    if len(names) > MOST_CLASSES:
        errors = wrong.sum(axis=0) + wrong.sum(axis=1)
        chosen = np.sort(np.argsort(-errors, kind="stable")[:MOST_CLASSES])
    shown = counts[np.ix_(chosen, chosen)]
    totals = counts.sum(axis=1)[chosen]
    return {
        "svg": _draw(prefix, [names[i] for i in chosen], shown, totals),
        "left_out": len(names) - len(chosen),
        "confusions": _confusions(names, counts, wrong),
        "errors": int(wrong.sum()),
        "examples": int(counts.sum()),
    }


def _confusions(names, counts, wrong):
    """The most frequent pairs of label and prediction that differ."""
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    return [
        {
            "label": formats.label(names[label]),
            "predicted": formats.label(names[predicted]),
            "times": int(wrong[label, predicted]),
            "share": formats.percent(wrong[label, predicted] / counts[label].sum()),
        }
        for label, predicted in pairs
        if wrong[label, predicted]
    ]


def _draw(prefix: str, names: list[str], counts, totals) -> Markup:
    """Fields as dark as their share of the row; empty fields stay empty."""
    size = 26 if counts.max(initial=0) < 1000 else 36
    shown = [formats.label(name, 14) for name in names]
    longest = max(map(len, shown))
    margin, turned = 44 + 6 * longest, {"rotation": 90} if longest > 3 else {}
    below = margin if turned else 54
    with svg.style():
        figure, axes = svg.new_figure(margin + size * len(names), below + size * len(names))
        for (row, column), amount in np.ndenumerate(counts):
            if not amount:
                continue
            share = amount / totals[row]
            color = svg.SERIES[0] if row == column else svg.SERIES[1]
            alpha = 0.12 + 0.88 * share
            axes.add_patch(
                Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=color, alpha=alpha, lw=0)
            )
            ink = svg.ON_FILL if alpha > 0.6 else svg.INK
            axes.text(column, row, f"{amount:,}", color=ink, ha="center", va="center", fontsize=9.5)
        axes.set_xticks(range(len(names)), shown, **turned)
        axes.set_yticks(range(len(names)), shown)
        axes.tick_params(labelcolor=svg.INK)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("label")
        axes.set_aspect("equal")
        axes.grid(visible=False)
        between = np.arange(0.5, len(names) - 1)
        axes.set_xticks(between, minor=True)
        axes.set_yticks(between, minor=True)
        axes.grid(which="minor", visible=True)
        axes.tick_params(which="minor", length=0)
        right = int(np.diag(counts).sum())
        said = f"{right:,} of {int(counts.sum()):,} examples on its diagonal."
        return svg.inline(figure, prefix, f"Confusion matrix of {len(names)} classes, {said}")
