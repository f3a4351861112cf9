"""When each word of a recording is said, as a picture that stands under the spectrogram.

Comes in: `times` of an Evaluation's `explanations.json` and how much of the recording is drawn. Goes
out: an `<svg>` element as wide as the spectrogram: a bar for each word and the word under it.
"""

from markupsafe import Markup, escape

from penstock.tfx.report import formats
from penstock.tfx.report.sounds import WIDTH

BAR, LINE, FONT = 3, 10, 8.5
"""Heights of a bar and of a line of text, size of letters, in CSS pixels."""
MOST_LINES, MOST_WORDS = 8, 80


def picture(times, seconds: float) -> Markup | None:
    """The words at their times; None where there are none that fit.

    Args:
        times: [[text, start, end], ...] in seconds, in order.
        seconds: of the recording, as far as it is drawn.
    """
    words = [word for word in times if _fits(word, seconds)] if isinstance(times, list) else []
    words = words[:MOST_WORDS]
    if not words or not seconds > 0:
        return None
    ends, parts = [], []
    for text, start, end in words:
        left, right = WIDTH * start / seconds, WIDTH * min(end, seconds) / seconds
        shown = formats.label(text, 24)
        half = FONT * formats.width(shown) / 2
        middle = min(max((left + right) / 2, half), max(WIDTH - half, half))
        line = next((i for i, e in enumerate(ends) if e + 4 <= middle - half), len(ends))
        parts.append(f'<rect x="{left:.1f}" width="{max(right - left, 1):.1f}" height="{BAR}"/>')
        if line >= MOST_LINES:
            continue
        ends[line : line + 1] = [middle + half]
        y = BAR + LINE * (line + 1) - 1
        if line:
            parts.append(f'<path d="M{middle:.1f} {BAR + 1}V{y - LINE + 3}"/>')
        parts.append(f'<text x="{middle:.1f}" y="{y}">{escape(shown)}</text>')
    height = BAR + LINE * len(ends) + 2
    said = ", ".join(f"{formats.label(text, 24)} at {start:.2f} s" for text, start, _ in words)
    return Markup(
        f'<svg class="spoken" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Words and when they begin: {escape(said)}">{"".join(parts)}</svg>'
    )


def _fits(word, seconds: float) -> bool:
    if not (isinstance(word, list) and len(word) == 3 and isinstance(word[0], str)):
        return False
    _, start, end = word
    return (
        all(isinstance(t, int | float) for t in (start, end))
        and 0 <= start <= end
        and (start < seconds)
    )
