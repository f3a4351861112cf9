"""From a Matplotlib figure to SVG inside the page, in the page's colours.

A figure is drawn with the colours of `COLORS`, each of which stands for a CSS variable of
`style.css`: light or dark is then the browser's choice. Text stays text, in the page's font. Ids
get a prefix of their own, so that several figures can stand in one page.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLORS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--on-fill)",
    "#0a0a0a": "var(--c0)",
    "#0b0b0b": "var(--c1)",
    "#0c0c0c": "var(--c2)",
    "#0d0d0d": "var(--c3)",
    "#0e0e0e": "var(--bad)",
}
INK, MUTED, LINE, ON_FILL, *SERIES, BAD = COLORS
"""Names of the stand-ins; `SERIES` are the colours of lines, told apart by colour-blind readers."""
MARKERS = ("o", "s", "^", "D")
DASHES = ("-", (0, (4, 1.6)), (0, (1, 1.4)), (0, (5, 1.4, 1, 1.4)))
"""Each series has a shape and a dash of its own as well: colour is never all there is."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "penstock",
    "text.parse_math": False,  # a class may be called `$x_1$`
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 11,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 0,
    "xtick.major.pad": 6,  # the first number stays clear of that of the other axis
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
ET.register_namespace("", _NAMESPACE[1:-1])


def style():
    """The context in which a figure must be made and drawn."""
    return matplotlib.rc_context(_STYLE)


def new_figure(width: float, height: float):
    """(figure, axes) of a size in CSS pixels, laid out so that nothing is cut off."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def inline(figure: Figure, prefix: str, description: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        prefix: unique in the page; begins all ids.
        description: what a screen reader says instead of the picture.
    """
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A glyph that Matplotlib's own font lacks is drawn by the browser; only its width is guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(stream.getvalue())
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag.endswith(("metadata", "}style"))]:
            parent.remove(child)
    used = {target for element in root.iter() for target in _targets(element)}
    for element in root.iter():
        _adapt(element, prefix, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    _, _, width, height = (float(part) for part in root.get("viewBox").split())
    root.attrib |= {"role": "img", "aria-label": description, "width": f"{width:.0f}"}
    root.attrib["height"] = f"{height:.0f}"
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=True))


def _targets(element: ET.Element):
    """Ids that an element refers to."""
    for name, text in element.attrib.items():
        if name == _HREF:
            yield text.removeprefix("#")
        elif name in ("clip-path", "fill", "style"):
            yield from re.findall(r"url\(#([^)]+)\)", text)


def _adapt(element: ET.Element, prefix: str, used: set[str]) -> None:
    """Colours to variables, ids to unique ones where they are used, the font to the page's."""
    if element.attrib.get("id") in used:
        element.set("id", f"{prefix}-{element.get('id')}")
    else:
        element.attrib.pop("id", None)
    if _HREF in element.attrib:
        element.set("href", element.attrib.pop(_HREF).replace("#", f"#{prefix}-", 1))
    for name, text in element.attrib.items():
        if "url(#" in text:
            element.set(name, text.replace("url(#", f"url(#{prefix}-"))
    if "d" in element.attrib:
        path = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", element.get("d"))
        element.set("d", " ".join(path.split()))
    css = element.get("style")
    if css:
        css = re.sub(r"#[0-9a-f]{6}\b", lambda found: COLORS.get(found[0], found[0]), css)
        css = re.sub(r"font: (?:[a-z0-9]+ )*?([0-9.]+)px [^;]*", r"font-size: \1px", css)
        element.set("style", re.sub(r"font-family: [^;]*; ", "", css))
