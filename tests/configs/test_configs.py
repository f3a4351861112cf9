"""Every shipped config: it is valid, its head says what one must know, and two training steps run.

The data are generated from what the config's own source describes, so that a config is tested where
its data set is not; the whole pipeline on real data is `tests/end_to_end/`. A config without a task
trains nothing: there the data are laid out as the source expects, and are read.
"""

import contextlib
import io
import pickle
import re
from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import pytest
import yaml
from PIL import Image as PILImage

from penstock.models.locate import data_class, task_class
from penstock.pipelines import examples
from penstock.pipelines.example_codec import fault_of, serialise
from penstock.pipelines.features import Audio, Image, Label, Sequence, Text
from penstock.pipelines.inputs import inputs
from penstock.pipelines.media import audio_files
from penstock.pipelines.running.beam_runner import new_pipeline
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord
from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.transform import transform
from penstock.tfx.load_config import load_config
from penstock.tfx.run_command import validate_config
from penstock.tfx.training.optimizers import make_optimizer

REPOSITORY = Path(__file__).parents[2]
CONFIGS = sorted((REPOSITORY / "configs").rglob("*.yaml"))
HEAD = ("Run:", "Time:", "Expect:")
EXAMPLES = 8
WORDS = ("a good", "a bad")


def shown(path: Path) -> str:
    """As it is called on the command line."""
    return str(path.relative_to(REPOSITORY))


def of_configs(paths):
    return pytest.mark.parametrize("config_path", paths, ids=[shown(path) for path in paths])


WITHOUT_TASK = sorted((REPOSITORY / "configs" / "data").glob("*.yaml"))
WITH_TASK = [path for path in CONFIGS if path not in WITHOUT_TASK]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, small_data):
    """The current folder, with what the configs expect to find there."""
    for name in ("first", "second", "third"):
        write_photo(tmp_path / "photos" / name / "1.png")
        write_recording(tmp_path / "recordings" / name / "1.wav")
    (tmp_path / "reviews.csv").write_text('text,label\n"Good, really.",good\nBad!,bad\n')
    (tmp_path / "translations.csv").write_text("source,target\nOne gate.,Ein Tor.\nTwo.,Zwei.\n")
    (tmp_path / "data").symlink_to(small_data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def write_photo(path: Path) -> None:
    path.parent.mkdir(parents=True)
    PILImage.new("RGB", (40, 30), "red").save(path)


def write_recording(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(audio_files.from_samples(np.zeros(100), 8000))


def generated(feature, index: int, generator, spoken: bool):
    """The raw form of one value of a feature."""
    if isinstance(feature, Image):
        pixels = generator.integers(0, 256, (32, 24, 3), dtype=np.uint8)
        stream = io.BytesIO()
        PILImage.fromarray(pixels if feature.channels == 3 else pixels[:, :, 0]).save(stream, "PNG")
        return stream.getvalue()
    if isinstance(feature, Audio):
        return audio_files.from_samples(generator.normal(0, 0.1, 4000), 8000)
    if isinstance(feature, Text) and spoken:
        return "ab"  # what is longer would not fit into the recording
    if isinstance(feature, Text):
        return f"{generator.choice(WORDS)} film {generator.choice(WORDS)} !"
    if isinstance(feature, Sequence):
        return [generated(feature.of, index, generator, spoken)]
    assert isinstance(feature, Label), f"Say here how a {feature.kind} is generated."
    return index % len(feature.names)


def test_there_are_configs():
    assert {"digits", "fashion_mnist", "photos"} <= {path.stem for path in WITH_TASK}
    assert {"titanic", "bccd", "fsdd", "multi30k"} <= {path.stem for path in WITHOUT_TASK}


@of_configs(CONFIGS)
def test_it_is_valid(config_path, capsys):
    assert validate_config(str(config_path), (), False) == 0
    steps = "4 steps, no task: the data are checked." if config_path in WITHOUT_TASK else " steps"
    assert steps in capsys.readouterr().out


@of_configs(CONFIGS)
def test_the_head_says_command_time_and_what_to_expect(config_path):
    text = config_path.read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    for word in HEAD:
        assert any(line.startswith(f"# {word}") for line in head), f"{config_path.name}: {word}"
    assert f"penstock run {shown(config_path)}" in text


def test_the_readme_explains_the_config_that_quickstart_runs():
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    shown = [document for block in blocks for document in yaml.safe_load_all(block)]
    shipped = (REPOSITORY / "configs" / "vision" / "digits.yaml").read_text()
    assert [document for document in shown if "name" in document] == [yaml.safe_load(shipped)]
    # The other blocks show sources: each must be one.
    sources = [locate.load(document["source"]) for document in shown if "name" not in document]
    assert {source.type for source in sources} >= {"csv", "audio_manifest", "voc", "mixture"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_modules_that_a_page_names_are_there(page):
    folders = "benchmarks|configs|models|pipelines|tests|tfx"
    names = re.findall(rf"\b(?:{folders})/[\w/]+\.py", (REPOSITORY / page).read_text())
    assert names
    assert [name for name in names if not (REPOSITORY / name).exists()] == []


# TFDS takes the authors' own files only.
READABLE = [path for path in WITHOUT_TASK if path.stem != "fashion_mnist"]


class Reading(beam.PTransform):
    """`source.read` under a name of its own."""

    def __init__(self, source):
        super().__init__()
        self._source = source

    def expand(self, begin):
        return self._source.read(begin.pipeline)


def save(records, path):
    Path(path).write_bytes(pickle.dumps(records))


@pytest.fixture(scope="module")
def records(small_data, tmp_path_factory):
    """{config: records}, read by one Beam pipeline."""
    root = tmp_path_factory.mktemp("records")
    with contextlib.chdir(small_data.parent), new_pipeline() as pipeline:
        for path in READABLE:
            (
                pipeline
                | f"Read {path.stem}" >> Reading(load_config(path).pipeline.data.source)
                | f"Collect {path.stem}" >> beam.combiners.ToList()
                | f"Save {path.stem}" >> beam.Map(save, str(root / path.stem))
            )
    return {path: pickle.loads((root / path.stem).read_bytes()) for path in READABLE}


@of_configs(READABLE)
def test_data_of_this_layout_are_read(config_path, records):
    data = load_config(config_path).pipeline.data
    found = records[config_path]
    assert [record.reason for record in found if isinstance(record, BadRecord)] == []
    assert len(found) >= 3
    own = {record.split for record in found}
    # `splits: {train: 1}` says that no record is to be divided.
    assert own == {None} or None not in own
    assert (None not in own) == (data.splits == {"train": 1.0})
    features = data.source.features()
    assert {fault_of(record.key, record.values, features) for record in found} == {None}


@of_configs(WITH_TASK)
def test_two_steps(config_path, tmp_path):
    config = load_config(config_path)
    folders = [tmp_path / name for name in ("raw", "state", "prepared", "scratch")]
    for folder in folders:
        folder.mkdir()
    raw, state_folder, prepared, scratch = folders

    features = config.pipeline.data.source.features()
    generator = np.random.default_rng(0)
    spoken = any(isinstance(feature, Audio) for feature in features.values())
    rows = [
        {name: generated(feature, n, generator, spoken) for name, feature in features.items()}
        for n in range(EXAMPLES)
    ]
    records = [serialise(f"{n:02}", row, features) for n, row in enumerate(rows)]
    write_records(raw / examples.shard_name("train", 0, 1), records)
    examples.write_description(raw, features, {"train": EXAMPLES}, {"train": 1})
    preparation = data_class(config.pipeline.task)(config.task.prepare)
    transform(raw, preparation, state_folder, prepared, scratch, "train")

    task, state = task_class(config.pipeline.task)(config.task), State.load(state_folder)
    model = task.build(state)
    optimizer = make_optimizer(config.pipeline.train.optimizer, steps_per_epoch=2, epochs=1)
    # To trace a step takes several times as long as two; the conformance tests train in a graph.
    task.compile(model, optimizer, jit_compile=False, run_eagerly=True)
    before = [np.array(weight) for weight in model.trainable_variables]
    [batch] = inputs.prepared(prepared, "train", EXAMPLES)
    for step in range(2):
        fed = task.augment(batch["inputs"], batch["targets"], [step, 0], state)
        loss = model.train_on_batch(*task.training_inputs(*fed, state))[0]
        assert np.isfinite(loss)
    after = [np.array(weight) for weight in model.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    keras.backend.clear_session()
