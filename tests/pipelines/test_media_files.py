"""Names of files on their way through Beam: packed, and the same when they are unpacked."""

from pathlib import Path

from penstock.pipelines.reading.media_files import FILES_AT_ONCE, MediaFile, parts_of
from penstock.pipelines.reading.tree import Entry, Tree


def files(count):
    tree = Tree(Path("somewhere/pictures"))
    names = [f"class_{i % 10}/picture_{i:07d}.png" for i in range(count)]
    return [MediaFile(f"x/{name}", tree, Entry(name, 600 + len(name))) for name in sorted(names)]


def test_parts_have_every_item_with_its_index():
    listed = files(2 * FILES_AT_ONCE + 3)
    parts = parts_of(listed)
    assert [part.start for part in parts] == [0, FILES_AT_ONCE, 2 * FILES_AT_ONCE]
    found = [pair for part in parts for pair in part.numbered()]
    assert [index for index, _ in found] == list(range(len(listed)))
    expected = [(file.key, file.where, file.entry) for file in listed]
    assert [(file.key, file.where, file.entry) for _, file in found] == expected
    assert parts_of([]) == []


def test_a_name_takes_a_few_bytes():
    """The two names of such a file have 26 and 28 letters."""
    parts = parts_of(files(10_000))
    assert sum(len(part.packed) for part in parts) < 20 * 10_000
