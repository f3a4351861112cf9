"""The section of the steps: a drawing of how they hang together, and a table."""

from penstock.tfx.report import formats, graph
from penstock.tfx.report.collect import CACHED, EXECUTED, NOT_RUN, Run, StepFacts

NAME_LENGTH, NAME_SIZE = 20, 13
PADDING, WIDTH_OF_LETTER = 10, 0.66
"""A letter's width by its height, on the safe side; longer names are written smaller."""


def section(run: Run) -> dict:
    """Boxes, lines and rows for the template, and a sentence for the caption."""
    known = run.steps
    waits_for = {
        name: {other for other in _before(facts) if other in known} - {name}
        for name, facts in known.items()
    }
    picture = graph.draw(waits_for)
    longest = max((facts.seconds or 0.0 for facts in known.values()), default=0.0) or 1.0
    boxes = [
        {
            "name": formats.label(box.name, NAME_LENGTH),
            "x": box.x,
            "y": box.y,
            "state": known[box.name].state,
            "css": known[box.name].state.replace(" ", "-"),
            "size": _size(box.name),
            "line": _line(known[box.name]),
            "share": _share(known[box.name], longest),
            "title": _title(known[box.name]),
        }
        for box in picture.boxes
    ]
    lines = [
        {
            "path": line.path,
            "kind": _kind(known, line),
            "title": f"{line.start} → {line.end}: {_carried(known, line)}",
        }
        for line in picture.lines
    ]
    return {
        "width": picture.width,
        "height": picture.height,
        "box": (graph.BOX_WIDTH, graph.BOX_HEIGHT),
        "boxes": boxes,
        "lines": lines,
        "kinds": {line["kind"] for line in lines},
        "rows": [_row(facts) for facts in known.values()],
        "description": _description(run),
    }


def _size(name: str) -> float:
    """The size of the letters with which a name fits its box."""
    room = graph.BOX_WIDTH - 2 * PADDING
    return round(min(NAME_SIZE, room / (min(len(name), NAME_LENGTH) * WIDTH_OF_LETTER)), 1)


def _before(facts: StepFacts):
    return {step for step, _ in facts.reads} | set(facts.waits_for)


def _line(facts: StepFacts) -> str:
    """What stands under the step's name."""
    if facts.state == NOT_RUN:
        return "not run"
    if facts.state == EXECUTED:
        return formats.seconds(facts.seconds)
    if facts.state == CACHED or facts.seconds is None:
        return facts.state
    return f"{facts.state} · {formats.seconds(facts.seconds)}"


def _share(facts: StepFacts, longest: float) -> float:
    """How long the bar at the foot of the box is, 0 to 1; a cached step took no time here."""
    if facts.state in (CACHED, NOT_RUN) or not facts.seconds:
        return 0.0
    return max(facts.seconds / longest, 0.02)


def _title(facts: StepFacts) -> str:
    text = f"{facts.name}: {facts.state}"
    return text if facts.seconds is None else f"{text}, {formats.seconds(facts.seconds)}"


def _kind(known, line) -> str:
    """Solid where something was read, dashed where it would have been, dotted for a mere wait."""
    facts = known[line.end]
    if line.start not in {step for step, _ in facts.reads}:
        return "wait"
    return "planned" if facts.state == NOT_RUN else "read"


def _carried(known, line) -> str:
    outputs = [output for step, output in known[line.end].reads if step == line.start]
    return ", ".join(outputs) or "waits for this gate"


def _row(facts: StepFacts) -> dict:
    reads = [f"{step}.{output}" for step, output in facts.reads] + facts.outside
    said = "; ".join(f"{name} {formats.value(entry)}" for name, entry in facts.summary.items())
    reused = f" from the run {facts.reused_from}" if facts.reused_from else ""
    return {
        "name": facts.name,
        "state": facts.state + reused,
        "css": facts.state.replace(" ", "-"),
        "time": formats.seconds(facts.seconds),
        "reads": reads,
        "said": formats.label(facts.reason or said or formats.MISSING, 400),
    }


def _description(run: Run) -> str:
    """One sentence for those who do not see the drawing."""
    states: dict[str, int] = {}
    for facts in run.steps.values():
        states[facts.state] = states.get(facts.state, 0) + 1
    parts = ", ".join(f"{amount} {state}" for state, amount in states.items())
    return f"{formats.count(len(run.steps), 'step')}: {parts}."
