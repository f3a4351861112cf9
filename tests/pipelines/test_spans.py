"""Paths with wildcards and spans, on disk and in archives."""

import gzip
import re
import zipfile
from pathlib import Path

import pytest

from penstock.pipelines.reading.file_source import FileSource, data_files
from penstock.pipelines.reading.spans import fixed_part, resolve
from penstock.pipelines.reading.tree import ReadFault


@pytest.fixture
def days(tmp_path):
    for day in ("001", "2", "010"):
        (tmp_path / day).mkdir()
        for name in ("a.csv", "b.csv", "c.txt"):
            (tmp_path / day / name).write_text(day)
        with zipfile.ZipFile(tmp_path / f"day-{day}.zip", "w") as archive:
            archive.writestr(f"in/{day}.csv", day)
            archive.writestr("in/deep/x.csv", day)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("no span")
    return tmp_path


def names(root, path, *args):
    return [str(found.relative_to(root)) for found in resolve(root / path, *args)]


@pytest.mark.parametrize(
    ("path", "args", "expected"),
    [
        ("2/a.csv", (), ["2/a.csv"]),
        ("2/*.csv", (), ["2/a.csv", "2/b.csv"]),
        (
            "*/[ab].csv",
            (),
            [f"{d}/{n}.csv" for d in ("001", "010", "2", "other") for n in "ab"][:-1],
        ),
        ("0??/?.txt", (), ["001/c.txt", "010/c.txt"]),
        ("**/c.txt", (), ["001/c.txt", "010/c.txt", "2/c.txt"]),
        ("{SPAN}/a.csv", (), ["010/a.csv"]),
        ("{SPAN}", ("latest", 2), ["010", "2"]),
        ("{SPAN}/a.csv", (1,), ["001/a.csv"]),
        ("{SPAN}/?.csv", (2, 2), ["001/a.csv", "001/b.csv", "2/a.csv", "2/b.csv"]),
        ("day-{SPAN}.zip", (), ["day-010.zip"]),
        ("day-2.zip/in", (), ["day-2.zip/in"]),
        ("day-2.zip/in/2.csv", (), ["day-2.zip/in/2.csv"]),
        ("day-2.zip/in/*.csv", (), ["day-2.zip/in/2.csv"]),
        ("day-2.zip/**/*.csv", (), ["day-2.zip/in/2.csv", "day-2.zip/in/deep/x.csv"]),
        ("day-*.zip/in/[!x].csv", (), ["day-2.zip/in/2.csv"]),
        ("**", (), ["001", "010", "2", *(f"day-{d}.zip" for d in ("001", "010", "2")), "other"]),
        ("day-2.zip/**", (), ["day-2.zip/in"]),
        ("{SPAN}/**", (), ["010/a.csv", "010/b.csv", "010/c.txt"]),
        ("day-{SPAN}.zip/in/{SPAN}.csv", (1,), ["day-001.zip/in/001.csv"]),
    ],
)
def test_what_a_path_stands_for(days, path, args, expected):
    assert names(days, path, *args) == expected


def test_links_in_circles_are_not_followed(days):
    for name in ("round", "about"):
        (days / "001" / name).symlink_to(days)
    assert names(days, "**/001/**/b.csv") == ["001/b.csv"]


@pytest.mark.parametrize(
    ("path", "args", "said"),
    [
        ("no.csv", (), "(nothing there)"),
        ("*.csv", (), "Nothing matches"),
        ("other{SPAN}/a.csv", (), "Nothing matches"),
        ("oth{SPAN}/a.csv", (), "Nothing matches `.*` with a number for `{SPAN}`"),
        ("{SPAN}/a.csv", (3,), "There is no span 3 of .* Known spans: 1, 2, 10."),
        ("{SPAN}/a.csv", (2, 3), "`span_window` is 3, but the spans of .* up to there are 1, 2."),
        ("2/a.csv", (2,), "`span` and `span_window` need `{SPAN}` in the path."),
        ("day-2.zip/in/3.csv", (), "There is no '3.csv' in"),
        ("day-2.zip/on", (), "There is no 'on' in"),
    ],
)
def test_what_is_not_there(days, path, args, said):
    if path.startswith("oth{"):
        (days / "other" / "a.csv").rename(days / "a.csv")
        (days / "othx").mkdir()
        (days / "othx" / "a.csv").write_text("")
    with pytest.raises(ReadFault, match=re.sub(r"[({)]", r"\\\g<0>", said)):
        resolve(days / path, *args)


def test_a_name_with_wildcard_characters_is_found_as_written(tmp_path):
    (tmp_path / "data [1].csv").write_text("")
    assert names(tmp_path, "data [1].csv") == ["data [1].csv"]
    assert fixed_part(tmp_path / "data [1].csv") == tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("2/a.csv", ["a.csv"]),
        ("2", ["a.csv", "b.csv"]),
        ("2/*.csv", ["a.csv", "b.csv"]),
        ("*/a.csv", ["001/a.csv", "010/a.csv", "2/a.csv", "other/a.csv"]),
        ("{SPAN}", ["010/a.csv", "010/b.csv"]),
        ("day-2.zip", ["in/2.csv", "in/deep/x.csv"]),
        ("day-2.zip/in", ["2.csv", "deep/x.csv"]),
        ("day-2.zip/in/2.csv", ["2.csv"]),
        ("day-{SPAN}.zip/in/*.csv", ["day-010.zip/in/010.csv"]),
        ("day-{SPAN}.zip", ["day-010.zip/in/010.csv", "day-010.zip/in/deep/x.csv"]),
    ],
)
def test_the_names_of_files_in_keys(days, path, expected):
    """They stay when files are added: a wildcard's part of a path is always in them."""
    files = data_files(days / path, resolve(days / path), (".csv",))
    assert [file.name for file in files] == expected
    for file in files:
        with file.open() as stream:
            assert stream.read()
        assert file.where.startswith(str(days))
        assert file.on_disk == ("zip" not in file.where)


def test_the_same_in_the_current_folder(days, monkeypatch):
    monkeypatch.chdir(days)
    for path, expected in [("2/a.csv", "a.csv"), ("day-2.zip/in", "2.csv"), ("day-0*.zip", "day-")]:
        files = data_files(Path(path), resolve(Path(path)), (".csv",))
        assert files[0].name.startswith(expected)
    Path("x.csv").write_text("")
    assert data_files(Path("*.csv"), resolve(Path("*.csv")), (".csv",))[0].name == "x.csv"


def test_gzip_is_decompressed_and_its_damage_is_said(tmp_path):
    whole = gzip.compress(b"abc" * 10000)
    (tmp_path / "a.csv.gz").write_bytes(whole)
    (tmp_path / "b.csv.gz").write_bytes(whole[:-20])
    (tmp_path / "c.csv.gz").write_bytes(b"plain text")
    good, cut, plain = data_files(tmp_path, [tmp_path], (".csv", ".csv.gz"))
    assert good.open().read() == b"abc" * 10000
    for file in (cut, plain):
        with pytest.raises(ReadFault, match="The gzip file is damaged or cut off: "):
            file.open().read()


def test_a_file_source_checks_its_path(days):
    def source(path, **more):
        return FileSource(type="test", path=days / path, **more)

    assert source("{SPAN}", span_window=3).check() == []
    assert len(source("{SPAN}", span_window=3).files()) == 9
    assert source("day-*.zip/in").files() == [days / f"day-{d}.zip" for d in ("001", "010", "2")]
    assert source("2/a.csv").files() == [days / "2/a.csv"]
    (days / "x.zip").write_bytes(b"broken")
    assert source("x.zip").check()[0].startswith("`data.source.path`: The archive ")
    assert source("no").check()[0].startswith("`data.source.path`: There is no folder or archive")
