"""Where the steps of a run stand in a picture, and how the lines between them go.

Comes in: the names of steps and what each waits for. Goes out: boxes and paths in CSS pixels, for
the template to draw. The method is Sugiyama's (1981, "Methods for visual understanding of
hierarchical system structures"): layers by the longest way from a start, an invisible box wherever
a line passes a layer, and the order inside a layer by the mean of its neighbours.
"""

from dataclasses import dataclass

BOX_WIDTH, BOX_HEIGHT = 130, 58
GAP_X, GAP_Y, LANE = 23, 20, 12
"""Between layers, between boxes, and the height that a passing line takes."""
MARGIN = 2
SWEEPS, RELAXATIONS = 6, 12


@dataclass(frozen=True)
class Box:
    """A step's box: its upper left corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A line between two boxes: `path` is that of an SVG path element."""

    start: str
    end: str
    path: str


@dataclass(frozen=True)
class Picture:
    """Boxes and lines, and how large the picture is."""

    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]


def draw(waits_for: dict[str, set[str]]) -> Picture:
    """Places every step; `waits_for` maps a step to the steps in front of it (no circles)."""
    layer = _layers(waits_for)
    routes = {
        (start, end): _route(start, end, layer)
        for end, starts in waits_for.items()
        for start in sorted(starts)
    }
    columns = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name, place in layer.items():
        columns[place].append(name)
    for route in routes.values():
        for hop in route[1:-1]:
            columns[hop[2]].append(hop)
    _order(columns, routes)
    tops = _tops(columns, routes)
    height = max((top + _height(entry) for entry, top in tops.items()), default=0) + MARGIN
    width = len(columns) * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN if columns else 0
    boxes = [Box(name, _left(layer[name]), tops[name]) for name in waits_for]
    lines = [Line(a, b, _path(route, layer, tops)) for (a, b), route in routes.items()]
    return Picture(width, height, boxes, lines)


def _layers(waits_for):
    """Each step one layer behind the last of those that it waits for."""
    layer: dict[str, int] = {}

    def place(name):
        if name not in layer:
            layer[name] = 1 + max((place(other) for other in waits_for[name]), default=-1)
        return layer[name]

    for name in waits_for:
        place(name)
    return layer


def _route(start, end, layer):
    """The start, an invisible box (start, end, layer) for each layer between, the end."""
    between = range(layer[start] + 1, layer[end])
    return [start, *((start, end, place) for place in between), end]


def _order(columns, routes) -> None:
    """Sorts each column by the mean place of its neighbours, forwards and backwards."""
    neighbours: dict = {}
    for route in routes.values():
        for left, right in zip(route, route[1:], strict=False):
            neighbours.setdefault(right, {}).setdefault("before", []).append(left)
            neighbours.setdefault(left, {}).setdefault("after", []).append(right)
    for sweep in range(SWEEPS):
        side = "before" if sweep % 2 == 0 else "after"
        for column in columns if side == "before" else reversed(columns):
            places = {entry: i for other in columns for i, entry in enumerate(other)}

            def mean(entry, places=places, side=side):
                found = [places[n] for n in neighbours.get(entry, {}).get(side, [])]
                return sum(found) / len(found) if found else places[entry]

            column.sort(key=mean)


def _height(entry):
    return LANE if isinstance(entry, tuple) else BOX_HEIGHT


def _tops(columns, routes):
    """The upper edge of every entry: as near as its column allows to the mean of its neighbours."""
    middles = {}
    for column in columns:
        offsets = _offsets(column)
        middles |= {e: o - offsets[-1] / 2 for e, o in zip(column, offsets, strict=True)}
    neighbours: dict = {entry: [] for entry in middles}
    for route in routes.values():
        for left, right in zip(route, route[1:], strict=False):
            neighbours[left].append(right)
            neighbours[right].append(left)
    for _ in range(RELAXATIONS):
        for column in columns:
            wished = [
                sum(middles[n] for n in neighbours[e]) / len(neighbours[e])
                if neighbours[e]
                else middles[e]
                for e in column
            ]
            middles |= zip(column, _settle(wished, _offsets(column)), strict=True)
    tops = {entry: middle - _height(entry) / 2 for entry, middle in middles.items()}
    highest = min(tops.values(), default=0)
    return {entry: round(top - highest + MARGIN, 1) for entry, top in tops.items()}


def _offsets(column):
    """How far below the first entry's middle each middle must be at least."""
    offsets = [0.0]
    for above, below in zip(column, column[1:], strict=False):
        offsets.append(offsets[-1] + (_height(above) + _height(below)) / 2 + GAP_Y)
    return offsets


def _settle(wished, offsets):
    """The places nearest to the wished ones (least squares) that keep order and distance.

    Without the offsets this is isotonic regression; entries that would collide share a mean (the
    pool-adjacent-violators algorithm).
    """
    pools: list[list[float]] = []  # [mean, members]
    for wish, offset in zip(wished, offsets, strict=True):
        pools.append([wish - offset, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, members = pools.pop()
            total = pools[-1][1] + members
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * members) / total, total]
    settled = [mean for mean, members in pools for _ in range(int(members))]
    return [place + offset for place, offset in zip(settled, offsets, strict=True)]


def _left(place):
    return MARGIN + place * (BOX_WIDTH + GAP_X)


def _path(route, layer, tops):
    """From the right edge of the first box to the left edge of the last, level across each layer."""
    x = _left(layer[route[0]]) + BOX_WIDTH
    y = tops[route[0]] + BOX_HEIGHT / 2
    parts = [f"M{x:g},{y:g}"]
    for entry in route[1:]:
        place = entry[2] if isinstance(entry, tuple) else layer[entry]
        left, middle = _left(place), tops[entry] + _height(entry) / 2
        bend = (x + left) / 2
        parts.append(f"C{bend:g},{y:g} {bend:g},{middle:g} {left:g},{middle:g}")
        x, y = left, middle
        if isinstance(entry, tuple):
            x = left + BOX_WIDTH
            parts.append(f"H{x:g}")
    return " ".join(parts)
