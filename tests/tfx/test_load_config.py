"""From a YAML file to a config, or to all its faults at once."""

import pytest
import yaml

from penstock.pipelines.sources.locate import known_sources
from penstock.tfx.load_config import ConfigError, as_yaml, load_config

GOOD = {
    "name": "digits",
    "task": "vision.classification",
    "data": {"source": {"type": "sklearn", "dataset": "digits"}},
    "prepare": {"height": 8, "width": 8, "channels": 1},
}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(GOOD | changes))
        return path

    return write


def faults(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return caught.value.faults


def test_defaults_and_sections_of_task_and_source_are_resolved(write):
    config = load_config(write())
    assert config.pipeline.train.optimizer.type == "adam"
    assert config.pipeline.data.source.dataset == "digits"
    assert config.task.prepare.height == 8


def test_the_saved_config_loads_equal(write, tmp_path):
    config = load_config(write(), ("train.epochs=3",))
    (tmp_path / "saved.yaml").write_text(as_yaml(config))
    again = load_config(tmp_path / "saved.yaml")
    assert again.dump() == config.dump()
    assert again.pipeline.train.epochs == 3


def test_overrides_are_read_as_yaml(write):
    config = load_config(
        write(),
        ("train.optimizer.learning_rate=1e-2", "evaluate.slices=[label]", "push.destination=out"),
    )
    assert config.pipeline.train.optimizer.learning_rate == 0.01
    assert config.pipeline.evaluate.slices == ("label",)
    assert str(config.pipeline.push.destination) == "out"


FAULTS = {
    "padding of a text that would be a token": (
        {
            "task": "text.classification",
            "prepare": {},
            "train": {"buckets": {}, "padding": {"inputs": 7}},
        },
        [
            "`train.padding` of `inputs` must be 0, by which the task's networks know padding. "
            "Received: 7. Leave it out."
        ],
    ),
    "padding of a recording that would be sound": (
        {
            "task": "speech.keyword_spotting",
            "prepare": {},
            "train": {"packing": {"length": 9}, "padding": {"inputs/waveforms": -1}},
        },
        [
            "`train.padding` of `inputs/waveforms` must be 0, by which the task's networks know "
            "padding. Received: -1. Leave it out."
        ],
    ),
    "unknown key": (
        {"train": {"epoch": 3}},
        ["Unknown key `train.epoch`. Did you mean: `train.epochs`?"],
    ),
    "unknown top-level key": (
        {"evaluat": {}},
        ["Unknown key `evaluat`. Did you mean: `evaluate`?"],
    ),
    "unknown key in a union": (
        {"train": {"optimizer": {"type": "adam", "learnin_rate": 0.1}}},
        [
            "Unknown key `train.optimizer.learnin_rate`. "
            "Did you mean: `train.optimizer.learning_rate`?"
        ],
    ),
    "unknown kind": (
        {"train": {"optimizer": {"type": "adm"}}},
        [
            "`train.optimizer.type` must be one of 'sgd', 'adam', 'adamw', 'rmsprop'. "
            "Received: 'adm'. Did you mean 'adam'?"
        ],
    ),
    "wrong type": (
        {"train": {"epochs": "ten"}},
        ["`train.epochs` must be a whole number. Received: 'ten'. The default is 10."],
    ),
    "a number as text": (
        {"train": {"epochs": "10"}},
        ["`train.epochs` must be a whole number. Received: '10'. Take the quotes away."],
    ),
    "impossible value": (
        {"train": {"batch_size": 0}},
        ["`train.batch_size` must be greater than 0. Received: 0. The default is 32."],
    ),
    "splits": (
        {"data": {"source": GOOD["data"]["source"], "splits": {"train": 0.8, "test": 0.1}}},
        [
            "`data.splits`: the fractions must add up to 1. Received: a sum of 0.9. "
            "Change one of them."
        ],
    ),
    "missing": (
        {"data": {}},
        [
            "`data.source` is missing. Expected: {type: ...} and the keys of that source. "
            "Set it in the config."
        ],
    ),
    "limits that cannot be met": (
        {"evaluate": {"thresholds": {"accuracy": {"min": 0.9, "max": 0.1}}}},
        ["`evaluate.thresholds.accuracy`: `min` must be <= `max`. Received: min=0.9, max=0.1."],
    ),
    "a password": (
        {"store": {"database": "postgresql://me:secret@host/db"}},
        [
            "`store.database`: a password must not stand in a config, which is saved with each run. "
            "Write `${NAME}` in its place and set the environment variable NAME."
        ],
    ),
    "a number as a name": (
        {"name": 3},
        ["`name` must be text. Received: 3. Put it in quotes."],
    ),
    "a name with a blank": (
        {"name": "my digits"},
        [
            "`name` must be text that fits `^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`. "
            "Received: 'my digits'. Write 'my-digits'."
        ],
    ),
    "yes": (
        {"train": {"tensorboard": "yes"}},
        ["`train.tensorboard` must be true or false. Received: 'yes'. Write true."],
    ),
    "negative": (
        {"seed": -1},
        ["`seed` must be at least 0. Received: -1. The default is 0."],
    ),
    "more than one": (
        {"data": {"source": GOOD["data"]["source"], "max_bad_fraction": 5}},
        ["`data.max_bad_fraction` must be at most 1. Received: 5. The default is 0.01."],
    ),
    "a list for a section": (
        {"store": [1]},
        [
            "`store` must be a section of `key: value` lines. Received: [1]. "
            "Its keys: directory, database."
        ],
    ),
    "a word for a section": (
        {"data": {"source": "sklearn"}},
        [
            "`data.source` must be a section of `key: value` lines. Received: 'sklearn'. "
            "Write {type: sklearn}."
        ],
    ),
    "a number for limits": (
        {"evaluate": {"thresholds": {"accuracy": 0.9}}},
        [
            "`evaluate.thresholds.accuracy` must be a section of `key: value` lines. Received: 0.9. "
            "Its keys: min, max."
        ],
    ),
    "a word for a list": (
        {"evaluate": {"slices": "label"}},
        ["`evaluate.slices` must be a list. Received: 'label'. Write [label]."],
    ),
    "an empty list": (
        {"model": {"type": "cnn", "filters": []}},
        ["`model.filters` must be a list of 1 or more. Received: []."],
    ),
    "an empty section": (
        {"train": None},
        [
            "`train` must be a section of `key: value` lines. Received: nothing. "
            "Give it a value, or remove the line."
        ],
    ),
    "a choice": (
        {"data": {"source": GOOD["data"]["source"], "on_anomaly": "stopp"}},
        [
            "`data.on_anomaly` must be one of 'stop' or 'warn'. Received: 'stopp'. "
            "Did you mean 'stop'?"
        ],
    ),
    "one of two forms": (
        {"prepare": {"class_weights": 3}},
        [
            "`prepare.class_weights` must be one of 'balanced' or a section of `key: value` lines. "
            "Received: 3."
        ],
    ),
    "inside one of two forms": (
        {"prepare": {"class_weights": {"one": -1}}},
        ["`prepare.class_weights.one` must be at least 0. Received: -1."],
    ),
    "a task that is no text": (
        {"task": 3},
        ["`task` must be text. Received: 3. Put it in quotes."],
    ),
    "no destination": (
        {"push": {}},
        ["`push.destination` is missing. Expected: a path. Set it in the config."],
    ),
    "no kind of source": (
        {"data": {"source": {"path": "photos"}}},
        [
            "`data.source.type` is missing. Expected: the kind of the source, one of "
            f"{', '.join(known_sources())}, or a module of your own. Set it in the config."
        ],
    ),
    "unknown key of a step": (
        {"steps": {"Report": {"component": "a:b", "input": {}}}},
        ["Unknown key `steps.Report.input`. Did you mean: `steps.Report.inputs`?"],
    ),
    "no component": (
        {"steps": {"Report": {}}},
        [
            "`steps.Report.component` is missing. Expected: module:name of a component. "
            "Set it in the config."
        ],
    ),
    "several at once": (
        {"train": {"epochs": -1, "batch_sise": 2}, "modl": {}},
        [
            "Unknown key `modl`. Did you mean: `model`?",
            "`train.epochs` must be greater than 0. Received: -1. The default is 10.",
            "Unknown key `train.batch_sise`. Did you mean: `train.batch_size`?",
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_sentences(name, write):
    changes, expected = FAULTS[name]
    assert faults(write(**changes)) == expected


def test_an_unknown_task_names_the_nearest_and_the_rest_is_still_checked(write):
    found = faults(write(task="vision.clasification", train={"epochs": 0}, modl={}))
    assert len(found) == 3
    assert "Unknown key `modl`. Did you mean: `model`?" in found
    assert "Received: 'vision.clasification'. Known tasks: vision.classification" in found[0]
    assert any("`train.epochs`" in fault for fault in found)


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ({}, "`data.source.features.age.kind` is missing. Expected: one of 'image', 'mask', "),
        ({"kind": "txt"}, "`data.source.features.age.kind` must be one of 'image', "),
        ({"kind": "number", "dtyp": 1}, "Did you mean: `data.source.features.age.dtype`?"),
    ],
)
def test_features_of_a_table_are_told_apart_by_their_kind(write, tmp_path, feature, said):
    (tmp_path / "x.csv").write_text("age\n1\n")
    source = {"type": "csv", "path": str(tmp_path / "x.csv"), "features": {"age": feature}}
    found = faults(write(data={"source": source}))
    assert len(found) == 1
    assert said in found[0]


def test_an_unknown_source_names_the_nearest_and_the_rest_is_still_checked(write):
    found = faults(write(data={"source": {"type": "image_foldr", "path": "x"}, "shards": 0}))
    assert len(found) == 2
    assert "Received: 'image_foldr'" in found[0]
    assert "Did you mean 'image_folder'? Known sources: " in found[0]
    assert "`data.shards`" in found[1]


def test_a_missing_data_path_is_said_before_anything_runs(write):
    found = faults(write(data={"source": {"type": "image_folder", "path": "/no/such/photos"}}))
    assert len(found) == 1
    assert "/no/such/photos" in found[0]


def test_on_and_off_are_words_and_true_is_a_bool(write):
    settings = ("train.xla=off", "train.deterministic=on", "train.tensorboard=false")
    train = load_config(write(), settings).pipeline.train
    assert (train.xla, train.deterministic, train.tensorboard) == ("off", "on", False)


OVERRIDES = {
    "no value": (
        "train.epochs",
        "An override must read `key.path=value`. Received: 'train.epochs'.",
    ),
    "no section": ("name.x=1", "`name` is no section, so `name.x` cannot be set in it."),
    "bad yaml": (
        "name=[",
        "The value of `name` is not valid YAML. Received: '['. Put it in quotes.",
    ),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_bad_overrides(name, write):
    override, message = OVERRIDES[name]
    assert message in faults(write(), override)


FILES = {
    "not yaml": (b"a: [1,\nb: 2", "The file is not valid YAML"),
    "a key twice": (
        b"a: 1\nb:\n  c: 1\n  c: 2\n",
        "(line 4, column 3): the key `c` stands twice; remove one. Received: '  c: 2'.",
    ),
    "a tab": (
        b"a:\n\tb: 1\n",
        "(line 2, column 1): a tab indents the line. Received: '\\tb: 1'. Indent with blanks.",
    ),
    "indentation": (
        b"a: 1\n b: 2\n",
        "(line 2, column 3): mapping values are not allowed here. Received: ' b: 2'. Indent the",
    ),
    "an open bracket": (b"a: [1\nb: 2\n", "Close the bracket, or put a comma between the entries."),
    "an open quote": (b"a: 'x\n", "Close the quotation mark or bracket that was opened."),
    "a special character": (b"a: @x\n", "Received: 'a: @x'. Put the value in quotes."),
    "nothing": (b"", "(`key: value` lines). Received: an empty file."),
    "a circle": (b"a: &x [*x]\n", "The file refers to itself"),
    "deep": (b"[" * 5000, "The file is not valid YAML"),
    "not text": (b"\xff\xfe\x00", "it is no UTF-8 text. Save it as UTF-8."),
    "a list": (b"- 1\n", "The file must hold a mapping (`key: value` lines). Received: a list."),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_config(name, tmp_path):
    content, message = FILES[name]
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert message in faults(path)[0]


def test_a_missing_file_is_named(tmp_path):
    assert "No such file or directory. Received:" in faults(tmp_path / "none.yaml")[0]


@pytest.fixture
def mixture(tmp_path):
    """`data.source` of two tables, `a` and `b`."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("text\nx\n")
    sources = {name: {"type": "csv", "path": str(tmp_path / f"{name}.csv")} for name in "ab"}
    return {"type": "mixture", "sources": sources}


@pytest.mark.parametrize(
    ("name", "of_a_mixture", "expected"),
    [
        ("train/c", True, "Expected: train/a, train/b. Received: 'train/c'. Correct it, or add"),
        ("train/", True, "Expected: train/a, train/b. Received: 'train/'."),
        ("train/a/b", True, "Received: 'train/a/b'."),
        ("train/a", False, "Expected: a split. Received: 'train/a'."),
        ("train/a", True, None),
        ("train", True, None),
        ("train", False, None),
    ],
)
def test_a_data_set_that_is_trained_on_must_be_one_of_a_mixture(
    write, mixture, name, of_a_mixture, expected
):
    source = mixture if of_a_mixture else GOOD["data"]["source"]
    path = write(data={"source": source}, train={"mixture": {name: 1.0}})
    if expected is None:
        assert load_config(path).pipeline.train.mixture == {name: 1.0}
        return
    (found,) = faults(path)
    assert found.startswith("`train.mixture` must name splits, or data sets of a split that ")
    assert expected in found


def test_what_a_task_misses_shows_before_any_data_is_read(write):
    network = {"type": "preset", "preset": "presets/none"}
    [fault] = faults(write(model=network))
    assert fault.startswith("`model.preset` must be the directory of a KerasHub preset")


def test_limits_on_metrics_that_the_task_lacks_show_before_any_data_is_read(write):
    """They would show after the training only. Classes are known when data are read, so f1/x is fine."""
    evaluate = {
        "slices": ["label"],
        "thresholds": {"acuracy": {"min": 0.9}, "f1/x": {"min": 0.5}},
        "slice_thresholds": {"top_3_accuracy": {"min": 0.9}},
        "baseline": {"macro_f1": {"max_drop": 0.1}},
    }
    names = "accuracy, log_loss, macro_f1, precision/*, recall/*, f1/*"
    first, second = faults(write(evaluate=evaluate))
    assert first == (
        f"`evaluate.thresholds` must name metrics of the task: {names}. Received: 'acuracy'. "
        "Did you mean 'accuracy'?"
    )
    assert second.startswith(
        f"`evaluate.slice_thresholds` must name metrics of the task: {names}. "
    )
    [left] = faults(write(evaluate=evaluate, metrics={"top_k": 3}))
    assert left.startswith("`evaluate.thresholds`")
