"""What PyYAML says of a broken file, as a sentence: where, what is wrong, the line, how to fix it."""

import yaml

HINTS = (
    (
        "mapping values are not allowed",
        "Indent the lines of a section equally; quote text with `: `.",
    ),
    ("expected <block end>", "Indent the lines of a section equally."),
    ("expected ',' or", "Close the bracket, or put a comma between the entries."),
    ("unexpected end of stream", "Close the quotation mark or bracket that was opened."),
    ("cannot start any token", "Put the value in quotes."),
    ("could not find expected ':'", "Write `key: value`."),
)
"""A piece of PyYAML's message -> how to fix it."""


def yaml_fault(error: Exception) -> str:
    """The sentence about a file that PyYAML cannot read."""
    if isinstance(error, UnicodeDecodeError):
        return "The file is not valid YAML: it is no UTF-8 text. Save it as UTF-8."
    if isinstance(error, RecursionError):
        return "The file is not valid YAML: it is nested too deeply. Take brackets away."
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return f"The file is not valid YAML: {' '.join(str(error).split())}."
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    text = _line(mark)
    received = f" Received: {text!r}." if text else ""
    if text.startswith("\t"):
        fault, hint = "a tab indents the line", "Indent with blanks."
    else:
        fault = " ".join(str(error.problem).split())
        hint = next((hint for piece, hint in HINTS if piece in fault), "")
    return f"The file is not valid YAML ({where}): {fault}.{received} {hint}".rstrip()


def _line(mark: yaml.Mark) -> str:
    """The whole line of a mark, cut."""
    if mark.buffer is None:
        return ""
    lines = mark.buffer.rstrip("\0").split("\n")
    return lines[mark.line][:60] if mark.line < len(lines) else ""
