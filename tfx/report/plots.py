"""The pictures with axes: curves, histograms, shares of classes, metrics of slices.

Comes in: plain numbers. Goes out: `<svg>` elements (`svg.py`). Axes name what they show and its
unit; the captions are the template's.
"""

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from penstock.tfx.report import formats, svg
from penstock.tfx.report.distributions import Axis

WIDTH = 340
"""Of every picture, in CSS pixels: three stand side by side, one fits a telephone."""
MOST_POINTS = 400
MOST_SERIES = 4
"""Data sets in one picture: as many as there are colours."""
MOST_OVER = 3.0
"""Times its limit: longer bars would press the others together."""
ROUND = (1, 2, 5, 10)
"""Between the marks of an axis of shares."""
ROW = 20
"""Height of a row in a plot with a row for each class or slice, in CSS pixels."""


def curves(prefix: str, name: str, series: dict[str, list]) -> Markup:
    """A metric after each epoch; `series` maps a split to its values (None: not finite)."""
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 225)
        artists = []
        for place, (label, values) in enumerate(series.items()):
            numbers = np.array([np.nan if v is None else v for v in values], np.float64)
            epochs = np.arange(1, len(numbers) + 1)
            step = max(1, -(-len(numbers) // MOST_POINTS))
            chosen = np.unique(np.append(np.arange(0, len(numbers), step), len(numbers) - 1))
            few = len(numbers) <= 40
            artists += axes.plot(
                epochs[chosen],
                numbers[chosen],
                color=svg.SERIES[place % 4],
                linestyle=svg.DASHES[place % 4],
                marker=svg.MARKERS[place % 4] if few else None,
                markersize=3.5,
                label=formats.label(label),
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(formats.label(name))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        if len(series) > 1:
            _legend(figure, artists, handlelength=2.4)
        ends = [
            f"{label} ends at {formats.fixed(values[-1])}"
            for label, values in series.items()
            if values
        ]
        return svg.inline(figure, prefix, f"{name} after each epoch: {'; '.join(ends)}.")


def histogram(prefix: str, name: str, axis: Axis) -> Markup:
    """The distributions of a number on one axis, as shares of the bins."""
    splits = {label: axis.shares[label] for label in list(axis.shares)[:MOST_SERIES]}
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 200)
        artists = []
        for place, (label, shares) in enumerate(splits.items()):
            steps = axes.stairs(
                100 * shares,
                axis.edges,
                baseline=0,
                color=svg.SERIES[place],
                linestyle=svg.DASHES[place],
                linewidth=1.6,
                label=formats.label(label),
            )
            artists.append(steps)
        axes.set_xlabel(formats.label(name, 46))
        axes.set_ylabel("share (%)")
        if axis.is_log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_locator(LogLocator(numticks=6))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: formats.number(v)))
        else:
            long = np.abs(axis.edges).max() >= 1e6
            axes.xaxis.set_major_locator(
                MaxNLocator(nbins=2 if long else 5, integer=axis.is_integer)
            )
            if long:
                axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: formats.number(v)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.grid(axis="x", visible=False)
        if len(splits) > 1:
            _legend(figure, artists, handlelength=1.8)
        return svg.inline(figure, prefix, f"Distribution of {name} in {', '.join(splits)}.")


def undrawn(series, of: str = "split") -> str:
    """A sentence about the data sets beyond `MOST_SERIES`; empty where there are none."""
    more = len(series) - MOST_SERIES
    return f"{formats.count(more, f'more {of}')} {'is' if more == 1 else 'are'} not drawn." * (
        more > 0
    )


def rows_in_grid(rows: int) -> int:
    """How many ordinary pictures are as high as one with so many rows, captions counted."""
    return max(1, round((74 + ROW * rows + 60) / 285))


def class_shares(
    prefix: str, classes: list[str], splits: dict[str, list[float]], of: str = "share of the split"
) -> Markup:
    """The share of each class in each split; `splits` maps a split to shares, 0 to 1."""
    splits = {label: splits[label] for label in list(splits)[:MOST_SERIES]}
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 74 + ROW * len(classes))
        rows, artists = np.arange(len(classes)), []
        for place, (label, shares) in enumerate(splits.items()):
            artists += axes.plot(
                [100 * share for share in shares],
                rows,
                linestyle="none",
                clip_on=False,  # a marker at the edge is shown whole
                marker=svg.MARKERS[place % 4],
                color=svg.SERIES[place % 4],
                markersize=6,
                markerfacecolor="none" if place else svg.SERIES[0],
                markeredgewidth=1.6,
                label=formats.label(label),
            )
        _rows(axes, classes)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{of} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
        _legend(figure, artists, handletextpad=0.2)
        return svg.inline(figure, prefix, f"{of} of {len(classes)} rows in {', '.join(splits)}.")


def slice_metric(
    prefix: str, name: str, rows: list[dict], overall: float | None, limits: list[tuple[str, float]]
) -> Markup:
    """A metric of each slice with its interval.

    Args:
        rows: {label, value, low, high}; low and high are None where there is no interval.
        overall: the metric of the whole set, a line.
        limits: (name, value) of thresholds, dashed lines.
    """
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 78 + ROW * len(rows))
        artists = []
        for place, row in enumerate(rows):
            if row["low"] is not None:
                axes.plot(
                    [row["low"], row["high"]], [place, place], color=svg.SERIES[0], alpha=0.45, lw=3
                )
            axes.plot(row["value"], place, marker="o", color=svg.SERIES[0], markersize=6)
        if overall is not None:
            text = f"all: {formats.fixed(overall)}"
            artists.append(axes.axvline(overall, color=svg.INK, lw=1.1, label=text))
        for label, limit in limits:
            text = f"{label} {formats.number(limit)}"
            line = axes.axvline(limit, color=svg.BAD, lw=1.3, ls=svg.DASHES[1], label=text)
            artists.append(line)
        _rows(axes, [row["label"] for row in rows])
        _limit_to_shares(axes, rows)
        axes.set_xlabel(formats.label(name))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        _legend(figure, artists, handlelength=1.8)
        return svg.inline(figure, prefix, f"{name} of {len(rows)} slices, with intervals.")


def by_length(prefix: str, name: str, unit: str, rows: list[dict]) -> Markup:
    """A metric of the examples of each length, and how many these are.

    Args:
        unit: what lengths are counted in, "words of the source".
        rows: {label, examples, value}, by ascending length; value is None for no finite one.
    """
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 235)
        places = np.arange(len(rows))
        values = np.array([np.nan if r["value"] is None else r["value"] for r in rows], np.float64)
        axes.plot(places, values, color=svg.SERIES[0], marker=svg.MARKERS[0], markersize=6)
        few = len(rows) <= 8
        form = "{}\n{:,}" if few else "{} ({:,})"
        labels = [form.format(r["label"], r["examples"]) for r in rows]
        axes.set_xticks(places, labels, **({} if few else {"rotation": 90}))
        axes.set_xlim(-0.4, len(rows) - 0.6)
        axes.set_ylim(bottom=0, top=1.08 * max(np.nanmax(values, initial=0.0), 1e-9))
        _under(figure, formats.label(unit, 40) + ("; under it, examples" if few else " (examples)"))
        axes.set_ylabel(formats.label(name))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.grid(axis="x", visible=False)
        return svg.inline(figure, prefix, f"{name} of {len(rows)} ranges of {unit}.")


def ranges(prefix: str, name: str, rows: list[dict]) -> Markup:
    """Where the values of a number lie in several slices.

    Args:
        rows: {label, quantiles}: the numbers that 5, 25, 50, 75 and 95 % of the values are below.
    """
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 50 + ROW * len(rows))
        for place, row in enumerate(rows):
            low, lower, middle, upper, high = row["quantiles"]
            axes.plot([low, high], [place, place], color=svg.SERIES[0], lw=1.2)
            axes.plot(
                [lower, upper],
                [place, place],
                color=svg.SERIES[0],
                alpha=0.45,
                lw=7,
                solid_capstyle="butt",
            )
            axes.plot(middle, place, marker="o", color=svg.SERIES[0], markersize=5)
        _rows(axes, [row["label"] for row in rows])
        _under(figure, formats.label(name, 46))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        return svg.inline(figure, prefix, f"{name} in {len(rows)} slices.")


def distances(prefix: str, rows: list[dict]) -> Markup:
    """How far features are from other data, as a share of what is allowed.

    Args:
        rows: {label, value, text}; 1 is the limit. Bars of more than `MOST_OVER` are cut.
    """
    with svg.style():
        figure, axes = svg.new_figure(WIDTH, 78 + ROW * len(rows))
        shown = [100 * min(row["value"], MOST_OVER) for row in rows]
        colors = [svg.BAD if row["value"] > 1 else svg.SERIES[0] for row in rows]
        places = np.arange(len(rows))
        axes.barh(places, shown, height=0.55, color=colors)
        for place, (row, width) in enumerate(zip(rows, shown, strict=True)):
            axes.annotate(
                row["text"],
                (width, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.5,
            )
        limit = axes.axvline(100, color=svg.BAD, lw=1.3, ls=svg.DASHES[1], label="limit")
        _rows(axes, [row["label"] for row in rows])
        axes.set_xlim(0, max(115, 1.22 * max(shown)))
        _under(figure, "distance, as a share of its limit (%)")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
        axes.grid(axis="y", visible=False)
        _legend(figure, [limit], handlelength=1.8)
        over = sum(row["value"] > 1 for row in rows)
        return svg.inline(
            figure, prefix, f"Distances of {len(rows)} features, {over} of them beyond their limit."
        )


def sparkline(shares: np.ndarray) -> Markup:
    """A small histogram for a row of a table."""
    width, height = 96.0, 20.0
    top = float(shares.max()) or 1.0
    step, path, last = width / len(shares), f"M0 {height:g}", 0.0
    for place, share in enumerate(shares):
        level = height * float(share) / top
        if share > 0:
            level = max(level, 1.0)  # what is there is seen
        if level != last:
            path += f"V{height - level:.3g}"
        path, last = f"{path}H{step * (place + 1):.4g}", level
    return Markup(
        f'<svg class="spark" viewBox="0 0 96 20" width="96" height="20" aria-hidden="true">'
        f'<path d="{path}V{height:g}Z"/></svg>'
    )


def _legend(figure, artists: list, **options) -> None:
    """A legend of just these; one that Matplotlib gathers leaves out names that begin with `_`."""
    names = [artist.get_label() for artist in artists]
    in_a_row = int(
        WIDTH // (45 + 6 * max(map(len, names), default=0))
    )  # a sign with its gaps, and letters
    columns = max(1, min(len(names), in_a_row))
    figure.legend(artists, names, loc="outside upper left", ncols=columns, **options)


def _under(figure, text: str) -> None:
    """What the axis measures, in the middle of the picture: long names of rows leave it little room."""
    figure.supxlabel(text, color=svg.MUTED, fontsize="medium")


def _limit_to_shares(axes, rows: list[dict]) -> None:
    """Where all values lie between 0 and 1, so does the axis."""
    values = [v for row in rows for v in (row["low"], row["value"], row["high"]) if v is not None]
    if min(values) >= 0 and max(values) <= 1:
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, -0.02), min(high, 1 + 0.02 * (1 - min(low, 0.9))))


def _rows(axes, names: list[str]) -> None:
    """A row for each name, the first on top."""
    axes.set_yticks(np.arange(len(names)), [formats.label(name, 24) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=svg.INK, pad=10)
    axes.spines["left"].set_visible(False)
