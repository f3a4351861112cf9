"""`penstock schema`: show, diff, accept."""

import json

import pytest

from penstock.pipelines.validation import schema
from penstock.tfx.main import cli
from penstock.tfx.store import Store


@pytest.fixture(scope="module")
def store(made_runs, repository, tmp_path_factory):
    """Two runs with schemas, of which the second knows one class less, and one without."""
    store = Store(tmp_path_factory.mktemp("schemas") / "store")
    config = repository / "configs" / "vision" / "digits.yaml"
    for name in ("first-1", "second-1"):
        made_runs.make_run(store, config, name, last="SchemaGen")
    made_runs.make_run(store, config, "none-1", last="StatisticsGen")
    artifact = store.metadata.output_of("second-1", "SchemaGen", "schema")
    changed = schema.read(store.directory / artifact.uri)
    next(f for f in changed.feature if f.name == "weight").float_domain.max = 9
    changed.string_domain[0].value.append("emu")
    schema.write(store.directory / artifact.uri, changed)
    return store


@pytest.fixture
def penstock(store, capsys):
    """`penstock(words)`: (exit code, what is printed) of `penstock schema`."""

    def penstock(*words):
        arguments = ["schema", *words, "--store", str(store.directory)]
        code = cli.main(arguments, standalone_mode=False)
        return code, capsys.readouterr().out

    return penstock


def test_show_prints_a_schema_that_can_be_read_back(penstock, store, tmp_path):
    code, text = penstock("first-1")
    assert code == 0
    (tmp_path / "schema.pbtxt").write_text(text, encoding="utf-8")
    artifact = store.metadata.output_of("first-1", "SchemaGen", "schema")
    assert schema.read(tmp_path) == schema.read(store.directory / artifact.uri)
    assert penstock("show", "first") == (0, text)


def test_a_run_without_a_schema(penstock):
    with pytest.raises(ValueError, match="The run none-1 has no schema: it ended before SchemaGen"):
        penstock()  # the newest
    with pytest.raises(ValueError, match="'other' is no run of this store"):
        penstock("diff", "other", "first-1")


def test_diff_of_runs_and_files(penstock, tmp_path):
    code, text = penstock("diff", "first-1", "second-1")
    assert code == 1
    assert "feature `weight`: float_domain.max: none -> 9\n" in text
    assert "'emu' is new\n" in text
    assert text.count("\n") == 2
    assert penstock("diff", "first-1", "first-1") == (0, "The two schemas do not differ.\n")
    file = tmp_path / "mine.pbtxt"
    file.write_text(penstock("second-1")[1], encoding="utf-8")
    assert penstock("diff", "first-1", str(file)) == (1, text)
    code, listed = penstock("diff", "first-1", str(file), "--json")
    assert (code, json.loads(listed)) == (1, text.splitlines())


def test_accept_never_overwrites_silently(penstock, tmp_path):
    file = tmp_path / "configs" / "digits.pbtxt"
    code, text = penstock("accept", "first-1", str(file))
    assert code == 0
    assert f"data.reviewed_schema: {file}" in text
    assert file.read_text(encoding="utf-8") == penstock("first-1")[1]
    assert penstock("accept", "first-1", str(file)) == (
        0,
        f"{file} is there already and says the same: nothing to do.\n",
    )
    before = file.read_bytes()
    with pytest.raises(
        ValueError, match=r"is there already and differs in 2 places \(penstock sche"
    ):
        penstock("accept", "second-1", str(file))
    assert file.read_bytes() == before
    assert penstock("accept", "second-1", str(file), "--replace")[0] == 0
    assert file.read_bytes() != before


def test_what_differs_in_layout_only_says_the_same(penstock, tmp_path):
    """A person's order and comments stay."""
    file = tmp_path / "mine.pbtxt"
    text = "# reviewed\n" + penstock("first-1")[1]
    file.write_text(text, encoding="utf-8")
    assert "says the same" in penstock("accept", "first-1", str(file))[1]
    assert file.read_text(encoding="utf-8") == text
