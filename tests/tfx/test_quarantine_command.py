"""`penstock quarantine`: what it lists, what it extracts, what it reads again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord
from penstock.tfx.quarantine_command import quarantine_of_run
from penstock.tfx.run_command import run_config
from penstock.tfx.store import Store

PLAIN = {"reason": None, "files": (), "limit": 20, "extract": None}
PLAIN |= {"replay": False, "as_json": False, "store": ".penstock", "database": None}
HOSTILE = "photos/\x1b[2J\u202e\udcff.png"


@pytest.fixture
def call(capsys):
    """`call(**options)`: what the command prints about the newest run."""

    def call(run=None, code=0, **options):
        assert quarantine_of_run(run, **(PLAIN | options)) == code
        return capsys.readouterr().out

    return call


@pytest.fixture
def made(made_runs, repository, tmp_path, monkeypatch):
    """A run that failed in Trainer, with 8 bad records of two kinds."""
    monkeypatch.chdir(tmp_path)
    bad = [
        BadRecord("a.csv", i, f"`age` is '{i}'; expected a number.", f"k{i}", 10 * i, b"\x1b[2J;\n")
        for i in range(7)
    ]
    bad.append(BadRecord(HOSTILE, 3, "The file is\nempty.", "", None, b"x" * 300))
    monkeypatch.setitem(
        made_runs.WRITERS,
        "Quarantine",
        lambda directory, store: quarantine.write(directory, bad, 92),
    )
    config = repository / "configs" / "vision" / "digits.yaml"
    how = {"last": "Trainer", "ending": "FAILED", "reason": "It is bad."}
    return made_runs.make_run(Store(Path(".penstock")), config, **how)


def test_reasons_with_shares_and_first_records(made, call):
    out = call()
    lines = out.splitlines()
    assert lines[0] == f"{made}: 8 of 100 records (8.0%) could not be used"
    assert lines[1].split(maxsplit=2) == ["7", "87.5%", "`age` is …; expected a number."]
    assert lines[2].split(maxsplit=5)[:5] == ["a.csv", "index", "0,", "offset", "0"]
    assert lines[2].endswith("`age` is '0'; expected a number.")
    assert lines[3].strip() == r"\x1b[2J;\n"
    assert sum(line.lstrip().startswith("a.csv") for line in lines) == 3
    assert r"photos/\x1b[2J\u202e\udcff.png  index 3" in out
    assert all(line.isprintable() for line in lines)
    assert lines[-1].endswith("/quarantine/bad_records.jsonl")


def test_records_are_chosen_by_reason_and_file(made, call):
    out = call(reason="EXPECTED A", limit=5)
    assert out.count("a.csv") == 5
    assert "2 more; --limit shows more of them" in out
    assert "empty" not in out
    assert "'3'" in call(reason="`age` is …") + call(files=("./a.csv",))
    found = json.loads(call(files=(HOSTILE,), as_json=True))
    assert (found["run"], found["read"], found["good"], found["bad"]) == (made, 100, 92, 8)
    assert [(r["kind"], r["count"]) for r in found["reasons"]] == [("The file is\nempty.", 1)]
    assert [record["file"] for record in found["records"]] == [HOSTILE]
    assert Path(found["path"]).is_file()
    assert "records" not in json.loads(call(as_json=True))
    assert f"None of them is chosen; `penstock quarantine {made}` shows" in call(reason="no such")


def test_bytes_are_written_under_safe_names(made, call, tmp_path):
    out = call(extract="out")
    assert "8 records written to out" in out
    names = sorted(os.listdir("out"))
    assert names[0] == "000000-0-a.csv"
    assert names[7] == "000007-3-2J_.png"
    assert Path("out", names[0]).read_bytes() == b"\x1b[2J;\n"
    assert Path("out", names[7]).read_bytes() == b"x" * 300
    assert Path("out", names[0]).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="must be a folder that is empty.*Received: 'out'"):
        call(extract="out")
    call(extract="few", files=(HOSTILE,))
    assert len(os.listdir("few")) == 1


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "/", "", "a\0b", ".hidden", "C:\\x\\y.png", "é/ü.png"]
)
def test_no_name_leads_out_of_the_folder(made_runs, tmp_path, monkeypatch, call, name):
    monkeypatch.chdir(tmp_path)
    bad = [BadRecord(name, 0, "Bad.", data=b"1")]
    monkeypatch.setitem(
        made_runs.WRITERS,
        "Quarantine",
        lambda directory, store: quarantine.write(directory, bad, 0),
    )
    config = Path(__file__).parents[2] / "configs" / "vision" / "digits.yaml"
    made_runs.make_run(Store(Path(".penstock")), config, last="ExampleGen")
    call(extract="out/deep")
    (found,) = [path for path in Path("out").rglob("*") if path.is_file()]
    assert found.parent == Path("out/deep")
    assert found.name.isascii()
    assert found.name.startswith("000000-0-")


def test_a_run_that_has_not_read_its_data(made_runs, repository, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    config = repository / "configs" / "vision" / "digits.yaml"
    how = {"last": "ExampleGen", "ending": "FAILED", "reason": "No space."}
    name = made_runs.make_run(Store(Path(".penstock")), config, **how)
    with pytest.raises(ValueError, match="has no quarantine: its step ExampleGen has not read"):
        call(name)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Ten pictures, three of them damaged, read by a run that the gate stopped."""
    monkeypatch.chdir(tmp_path)
    for index in range(10):
        path = tmp_path / "photos" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 3), 20 * index).save(path)
        if index < 3:
            path.write_bytes(path.read_bytes()[:20])
    data = {"source": {"type": "image_folder", "path": "photos"}, "splits": {"train": 1.0}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"name": "n", "data": data}))
    assert run_config("c.yaml", (), False, False) == 3
    return tmp_path / "photos"


def test_mended_files_are_read_again_without_touching_the_store(photos, call, capsys):
    capsys.readouterr()
    assert "3 of 10 records (30.0%) could not be used" in call()
    before = sorted(Path(".penstock").rglob("*"))
    Image.new("L", (3, 3), 7).save(photos / "class0" / "0.png")
    out = call(replay=True)
    assert "3 files were read again: of 3 records 1 can be used now, 2 cannot; 3 could not" in out
    assert "class0/2.png  index" in out
    found = json.loads(call(replay=True, files=("./photos/class0/0.png",), as_json=True))
    assert (found["read"], found["good"], found["bad"], found["bad_before"]) == (1, 1, 0, 1)
    assert sorted(Path(".penstock").rglob("*")) == before
    (photos / "class0" / "2.png").unlink()
    Image.new("L", (3, 3), 9).save(photos / "class1" / "1.png")
    lines = call(replay=True).splitlines()
    assert lines[0].startswith("3 files were read again: of 2 records 2 can be used now")
    assert lines[1] == "photos/class0/2.png is gone."
    assert lines[-1] == "next: penstock run c.yaml"
    photos.rename(photos.parent / "elsewhere")
    with pytest.raises(ValueError, match="Put back what it names, and start this command in the "):
        call(replay=True)


def test_only_the_named_files_are_opened(photos):
    """`Source.only` is there to save the time for the others."""
    source = locate.load({"type": "image_folder", "path": "photos"})
    some = source.only(frozenset({"photos/class0/0.png", "photos/none.png"}))
    assert [str(path) for path in some.files()] == ["photos/class0/0.png"]
    assert some.features() == source.features()
    assert len(source.files()) == 10


def test_options_without_meaning_are_refused(made, call):
    with pytest.raises(ValueError, match="`--replay` reads whole files again"):
        call(replay=True, reason="empty")


def test_the_command_line_lists_without_beam_or_tensorflow(made):
    program = (
        "import sys\n"
        "from penstock.tfx.main import cli\n"
        "assert cli.main(['quarantine', '--reason', 'age'], standalone_mode=False) == 0\n"
        "sys.exit(' '.join({'apache_beam', 'tensorflow', 'pandas'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "7" in done.stdout
