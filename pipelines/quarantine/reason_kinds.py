"""What is the same in many reasons: `is 17; class ids go from 0 to 9` and `is 12; ...` are one kind.

Without this each wrong value would be a reason of its own, and no share of any would mean a thing.
"""

import re
from functools import lru_cache

LONGEST = 200
_QUOTED = r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)"""
_DIGITS = r"0x[0-9a-fA-F]+|\d+(?:[,_]\d+)*(?:\.\d+)?(?:[eE][-+]?\d+)?"
_NUMBER = rf"(?<![\w.`-])[-+]?(?:{_DIGITS})%?(?![\w`]|-[A-Za-z])"
"""No digits within words: `int64`, `UTF-8` and `16-bit` are names."""
_VALUE = re.compile(f"{_QUOTED}|{_NUMBER}")
_LIST = re.compile(r"…(?:,? +…)+")


@lru_cache(maxsize=4096)
def kind_of(reason: str) -> str:
    """The reason with `…` for each number and each text in quotes; lists of them become one `…`.

    What stands in backticks, as the names of features do, stays.
    """
    parts = re.split(r"(`[^`]*`)", reason[: 4 * LONGEST])
    parts[::2] = [_VALUE.sub("…", part) for part in parts[::2]]
    return _LIST.sub("…", "".join(parts))[:LONGEST]
