"""From a YAML file to a config, or to all its faults at once."""

import pytest
import yaml

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
        ["`train.epochs`: input should be a valid integer. Received: 'ten'."],
    ),
    "a number as text": (
        {"train": {"epochs": "10"}},
        ["`train.epochs`: input should be a valid integer. Received: '10'."],
    ),
    "impossible value": (
        {"train": {"batch_size": 0}},
        ["`train.batch_size`: input should be greater than 0. Received: 0."],
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
        ["`data.source` is missing. Set it in the config."],
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
    "several at once": (
        {"train": {"epochs": -1, "batch_sise": 2}, "modl": {}},
        [
            "Unknown key `modl`. Did you mean: `model`?",
            "`train.epochs`: input should be greater than 0. Received: -1.",
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


def test_an_unknown_source_names_the_nearest_and_the_rest_is_still_checked(write):
    found = faults(write(data={"source": {"type": "image_foldr", "path": "x"}, "shards": 0}))
    assert len(found) == 2
    assert "Received: 'image_foldr'" in found[0]
    assert "Known sources: image_folder" in found[0]
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
    "a key twice": (b"a: 1\na: 2\n", "the key `a` stands twice"),
    "a circle": (b"a: &x [*x]\n", "The file refers to itself"),
    "deep": (b"[" * 5000, "The file is not valid YAML"),
    "not text": (b"\xff\xfe\x00", "The file is not valid YAML"),
    "a list": (b"- 1\n", "The file must hold a mapping (`key: value` lines). Received: list."),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_config(name, tmp_path):
    content, message = FILES[name]
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert message in faults(path)[0]


def test_a_missing_file_is_named(tmp_path):
    assert "No such file or directory. Received:" in faults(tmp_path / "none.yaml")[0]
