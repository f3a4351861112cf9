"""Lines of text, alone and in parallel."""

import gzip
import re
import zipfile

import pytest

from penstock.pipelines.features import Label, Text
from penstock.pipelines.reading import delimited, line_files
from penstock.pipelines.sources import locate, parallel_text, text_lines
from penstock.pipelines.sources.source import BadRecord


def lines_of(section):
    """(features, good, bad) of `text_lines`."""
    source = locate.load({"type": "text_lines", **section})
    assert source.check() == []
    items = [i for file in source.data_files() for i in text_lines.file_parts(file, source.names)]
    found = [record for item in items for record in text_lines.read_lines(item, source.names)]
    bad = [record for record in found if isinstance(record, BadRecord)]
    return source.features(), [record for record in found if record not in bad], bad


def test_lines_are_kept_as_they_are(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone \r\n\n \t\n two\u2028three\x85\nfour\n\nlast".encode())
    features, good, bad = lines_of({"path": str(path)})
    assert (features, bad) == ({"text": Text()}, [])
    assert [(r.key, r.values["text"]) for r in good] == [
        ("x.txt:0", "one "),
        ("x.txt:3", " two\u2028three\x85"),
        ("x.txt:4", "four"),
        ("x.txt:6", "last"),
    ]


def test_bad_lines(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"good\n\xff\nze\0ro\nlast\n")
    _, good, bad = lines_of({"path": str(path)})
    assert [r.index for r in good] == [0, 3]
    assert [(b.index, b.offset, b.data, b.reason) for b in bad] == [
        (1, 5, b"\xff", "The line is not valid UTF-8 (at byte 0)."),
        (2, 7, b"ze\0ro", "The line contains a zero byte."),
    ]


def test_names_say_label_group_and_split(tmp_path):
    for name in ("train/ann.pos.txt", "train/bob.neg.txt", "test/cid.pos.txt", "test/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    pattern = r"^(?P<split>\w+)/(?P<group>\w+)\.(?P<label>\w+)\.txt$"
    section = {"path": str(tmp_path), "pattern": pattern}
    features, good, bad = lines_of(section)
    assert features["label"] == Label(names=("neg", "pos"))
    assert {(r.split, r.group, r.values["label"], r.values["text"]) for r in good} == {
        ("train", "ann", 1, "train/ann.pos.txt"),
        ("train", "bob", 0, "train/bob.neg.txt"),
        ("test", "cid", 1, "test/cid.pos.txt"),
    }
    assert [b.reason for b in bad] == ["Its name does not match `data.source.pattern`."]


def test_chunks_archives_and_gzip_give_the_same(tmp_path, monkeypatch):
    text = "".join(f"line {n} {'x' * (n % 70)}\n" for n in range(500))
    (tmp_path / "x.txt").write_text(text)
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in/x.txt", text)
    for size in (2**20, 100):
        monkeypatch.setattr(delimited, "CHUNK_BYTES", size)
        for name in ("x.txt", "x.txt.gz", "x.zip"):
            _, good, bad = lines_of({"path": str(tmp_path / name)})
            assert bad == []
            assert "".join(r.values["text"] + "\n" for r in good) == text
            assert [r.index for r in good] == list(range(500))
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(text.encode())[:-9])
    _, good, bad = lines_of({"path": str(tmp_path / "x.txt.gz")})
    assert (good, len(bad)) == ([], 1)
    assert bad[0].reason.startswith("The gzip file is damaged or cut off: ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "`data.source.path` has no text files. Expected: names that end in .txt, .txt.gz"),
        ({"pattern": "("}, "`data.source.pattern` must be a regular expression"),
        (
            {"extensions": [".md"], "pattern": r"(?P<text>a)"},
            "has a group `text`, which is the name of the lines",
        ),
        ({"extensions": [".md"], "pattern": r"^(?P<label>b)"}, "matches no file's name"),
    ],
)
def test_faults_of_text_lines(tmp_path, settings, said):
    (tmp_path / "a.md").write_text("x\n")
    faults = locate.load({"type": "text_lines", "path": str(tmp_path), **settings}).check()
    assert any(said in fault for fault in faults), faults


def write(folder, **texts):
    paths = {}
    for name, text in texts.items():
        paths[name] = str(folder / f"x.{name}")
        (folder / f"x.{name}").write_bytes(text if isinstance(text, bytes) else text.encode())
    return paths


def pairs_of(**section):
    """Records of `parallel_text`."""
    source = locate.load({"type": "parallel_text", **section})
    assert source.check() == []
    found = source.splits or {None: source.texts}
    parts = [part for split, texts in found.items() for part in parallel_text.plan(split, texts)]
    return [record for part in parts for record in parallel_text.read_part(part)]


def test_lines_that_belong_together(tmp_path, monkeypatch):
    numbers = range(95)
    texts = {
        name: "".join(f"{name} {n} {'x' * (n % 9)}\n" for n in numbers) for name in ("en", "de")
    }
    paths = write(tmp_path, **texts)
    (tmp_path / "x.fr.gz").write_bytes(gzip.compress(("\ufeff" + texts["en"]).encode()))
    for part_lines, block in [(10_000, 2**20), (10, 7), (19, 64), (1, 5)]:
        monkeypatch.setattr(parallel_text, "PART_LINES", part_lines)
        monkeypatch.setattr(parallel_text, "CHUNK_BYTES", block)
        for more in ({}, {"fr": str(tmp_path / "x.fr.gz")}):
            found = pairs_of(texts=paths | more)
            assert [r.key for r in found] == [f"x.en:{n}" for n in numbers]
            for name in ("en", "de"):
                assert "".join(r.values[name] + "\n" for r in found) == texts[name]
            if more:
                assert [r.values["fr"] for r in found] == [r.values["en"] for r in found]


def test_bad_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel_text, "PART_LINES", 2)
    monkeypatch.setattr(parallel_text, "MAX_LINE_BYTES", 50)
    paths = write(tmp_path, en="a\n\nc\r\nd\ne\nf", de=b"a\nb\n\xff\n" + b"y" * 130 + b"\n \nf")
    found = pairs_of(texts=paths)
    assert [r.key for r in found] == [f"x.en:{n}" for n in range(6)]
    assert [r.values for r in (found[0], found[5])] == [
        {"en": "a", "de": "a"},
        {"en": "f", "de": "f"},
    ]
    assert [(r.reason, r.file.rpartition("/")[2], r.offset) for r in found[1:5]] == [
        ("The line of `en` is empty.", "x.en", 2),
        ("The line of `de` is not valid UTF-8 (at byte 0).", "x.de", 4),
        ("The line of `de` is longer than 50 bytes.", "x.de", 6),
        ("The line of `de` is empty.", "x.de", 137),
    ]


def test_files_of_different_length_are_refused_with_their_counts(tmp_path):
    paths = write(tmp_path, en="a\nb\n", de="a\nb\nc")
    with pytest.raises(ValueError, match=r"same number of lines: `.*x.en` has 2, `.*x.de` has 3\."):
        pairs_of(texts=paths)
    (tmp_path / "y.gz").write_bytes(gzip.compress(b"a\nb\n")[:-3])
    with pytest.raises(ValueError, match="The gzip file is damaged or cut off"):
        pairs_of(texts={"en": paths["en"], "de": str(tmp_path / "y.gz")})


def test_splits_of_their_own(tmp_path):
    first, second = write(tmp_path, en="a\n", de="b\n"), write(tmp_path, fr="c\n", es="d\n")
    second = {"en": second["fr"], "de": second["es"]}
    found = pairs_of(splits={"train": first, "val": second})
    assert [(r.key, r.split, r.values) for r in found] == [
        ("train/x.en:0", "train", {"en": "a", "de": "b"}),
        ("val/x.fr:0", "val", {"en": "c", "de": "d"}),
    ]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({}, "needs `texts: {feature: file}` or `splits"),
        ({"texts": {"en": "{en}"}}, "must name two files or more. Received: 1."),
        ({"texts": {"en": "{en}", "de": "nowhere"}}, "`data.source.texts.de`: There is no file"),
        (
            {"splits": {"a": {"en": "{en}", "de": "{en}"}, "b": {"en": "{en}", "fr": "{en}"}}},
            "`data.source.splits.b` must have the features of the other splits",
        ),
        ({"splits": {"a b": {"en": "{en}", "de": "{en}"}}}, "A split's name must be letters"),
    ],
)
def test_faults_of_parallel_text(tmp_path, section, said):
    path = write(tmp_path, en="a\n")["en"]
    text = re.sub(r"\{en\}", path, str(section)).replace("'", '"')
    faults = (
        locate.source_class("parallel_text")
        .model_validate_json(text.replace("{", '{"type": "parallel_text", ', 1).replace(", }", "}"))
        .check()
    )
    assert any(said in fault for fault in faults), faults


def test_a_line_without_an_end_is_no_matter(tmp_path, monkeypatch):
    """A file that is one line longer than memory should hold."""
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 50)
    monkeypatch.setattr(line_files, "_LINES", delimited.Dialect(quote=None, max_row_bytes=100))
    (tmp_path / "x.txt").write_text("a\n" + "y" * 1000 + "\nb\n" + "z" * 300)
    _, good, bad = lines_of({"path": str(tmp_path / "x.txt")})
    assert [(r.index, r.values["text"]) for r in good] == [(0, "a"), (2, "b")]
    assert [(b.index, b.reason) for b in bad] == [
        (1, "The row is longer than 100 bytes."),
        (3, "The row is longer than 100 bytes."),
    ]
