"""From the path in a config to the files, folders and archives that it stands for.

A path may have wildcards (`*`, `?`, `[a-z]`, `**` for any folders), also inside an archive
(`all.zip/2024/*.csv`), and `{SPAN}`, which stands for a number: data that arrive day by day lie in
`taxi/{SPAN}/*.csv` or `taxi-{SPAN}.zip`. `span` chooses the last one or one by its number,
`span_window` how many up to there. `001` is the span 1. A path that exists as it is written is
taken as it is written. What lies in a folder that matches is not counted again.
"""

import glob
import re
from pathlib import Path
from typing import Literal

from penstock.pipelines.reading.archives import is_archive_name
from penstock.pipelines.reading.tree import ReadFault, Tree

SPAN = "{SPAN}"
Span = Literal["latest"] | int

_WILDCARD = re.compile(r"[*?\[]|\{SPAN\}")
_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[[^/\]]+\]|\{SPAN\}|.", re.DOTALL)


def resolve(path: Path, span: Span = "latest", window: int = 1) -> list[Path]:
    """What a path stands for, sorted; what lies in an archive as `x.zip/inner`.

    Args:
        path: see the module's description.
        span: the last span there is, or one by its number.
        window: how many spans, up to that one.

    Raises:
        ReadFault: nothing there, or no such span; a sentence about the path.
    """
    if SPAN not in str(path) and (span != "latest" or window != 1):
        raise ReadFault(f"`span` and `span_window` need `{SPAN}` in the path. Received: `{path}`.")
    if not _WILDCARD.search(str(path)) or path.exists():
        fault = _literal_fault(path)
        if fault:
            raise ReadFault(fault)
        return [path]
    found = _candidates(path)
    if not found:
        raise ReadFault(f"Nothing matches `{path}`. Correct the path or put files there.")
    if SPAN in str(path):
        found = _of_spans(path, found, span, window)
    return [Path(name) for name in _without_repeats(found)]


def fixed_part(path: Path) -> Path:
    """The folder or archive in front of the first wildcard; of a path without any its parent."""
    if path.exists():
        return path.parent
    for parent in reversed(path.parents):
        if _WILDCARD.search(parent.name):
            return parent.parent
    return path.parent


def _literal_fault(path):
    if path.exists():
        return None
    tree = Tree(path.parent)
    if not tree.is_archive:
        return Tree(path).check()
    fault = tree.check()
    if fault:
        return fault
    names = [entry.name for entry in tree.entries()]
    if path.name in names or any(name.startswith(f"{path.name}/") for name in names):
        return None
    return f"There is no {path.name!r} in `{path.parent}`. Correct the path."


def _candidates(path):
    """All that matches, with any number for each `{SPAN}`; sorted."""
    parts = path.parts
    for count in range(1, len(parts)):
        disk = Path(*parts[:count])
        if is_archive_name(disk) and not disk.is_dir():
            break
    else:
        return _on_disk(path)
    found = []
    inner = _pattern("/".join(parts[count:]))
    for archive in _on_disk(disk):
        tree = Tree(Path(archive))
        names = [entry.name for entry in tree.entries()] + tree.folders()
        found += [f"{archive}/{name}" for name in names if inner.fullmatch(name)]
    return sorted(found)


def _on_disk(path):
    """All on disk that matches, sorted."""
    if "**" not in path.parts:
        return sorted(glob.glob(_with_star(path)))
    # `glob` follows a link to a folder that it is in, 40 times, and two of them 2**40 times.
    root = fixed_part(path)
    tree, pattern = Tree(root), _pattern(str(path))
    names = [entry.name for entry in tree.entries()] + tree.folders()
    return sorted(found for name in names if pattern.fullmatch(found := str(Path(root, name))))


def _without_repeats(found):
    """Without what lies in a folder that matches too: it would be read twice."""
    matched = set(found)
    return [name for name in found if matched.isdisjoint(map(str, Path(name).parents))]


def _with_star(path):
    return str(path).replace(SPAN, "*")


def _pattern(path: str) -> re.Pattern:
    """Wildcards -> a regular expression; every `{SPAN}` is the same digits."""
    translated, spans = "", 0
    for token in _TOKENS.findall(path):
        if token == SPAN:
            translated += "(?P=span)" if spans else "(?P<span>[0-9]+)"
            spans += 1
        elif token.startswith("[") and len(token) > 1:
            inside = token[1:-1].replace("\\", "\\\\")
            translated += f"[{'^' + inside[1:] if inside.startswith('!') else inside}]"
        else:
            simple = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
            translated += simple.get(token, re.escape(token))
    return re.compile(translated)


def _of_spans(path, found, span, window):
    pattern = _pattern(str(path))
    spans = {}
    for name in found:
        match = pattern.fullmatch(name)
        if match:
            spans.setdefault(int(match["span"]), []).append(name)
    if not spans:
        raise ReadFault(f"Nothing matches `{path}` with a number for `{SPAN}`. Correct the path.")
    known = sorted(spans)
    if span != "latest":
        if span not in spans:
            raise ReadFault(
                f"There is no span {span} of `{path}`. Known spans: {_shown(known)}. Correct `span`."
            )
        known = known[: known.index(span) + 1]
    if window > len(known):
        raise ReadFault(
            f"`span_window` is {window}, but the spans of `{path}` up to there are "
            f"{_shown(known)}. Lower it."
        )
    return sorted(name for chosen in known[-window:] for name in spans[chosen])


def _shown(known):
    return ", ".join(map(str, known if len(known) < 8 else [*known[:3], "...", *known[-3:]]))
