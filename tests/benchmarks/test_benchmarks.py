"""The benchmarks at the smallest sizes, so that they still run when somebody wants to measure."""

import importlib
import sys

import pytest


@pytest.fixture
def bench(repository, monkeypatch):
    """`bench("name")` imports a module of `benchmarks/`, which is no package."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module


def test_every_benchmark_can_be_imported(bench, repository):
    names = {path.stem for path in (repository / "benchmarks").glob("*.py")}
    assert {"run_all", "measure_run", "timings", "kill_digits"} <= names
    for name in sorted(names):
        assert bench(name).__doc__, name


def test_cells_have_three_digits(bench):
    shown = bench("tables").shown
    assert [shown(v) for v in (0.01234, 1.5, 12.0, 1234.5, 60_000, None, "a")] == [
        *("0.0123", "1.50", "12.0", "1,234", "60,000", "–", "a"),
    ]


def test_a_line_through_two_lengths(bench):
    # 10 steps take 0.7 s, 20 take 0.9 s: 0.02 s a step, 0.5 s whatever the length.
    assert bench("overhead").line(0.7, 0.9, 10) == pytest.approx((0.5, 0.02))


def test_a_chain_runs_and_is_cached(bench, tmp_path):
    overhead = bench("overhead")
    for _ in range(2):
        overhead.seconds_of(tmp_path, 3)
    from penstock.tfx.store import Store

    metadata = Store(tmp_path / ".penstock").metadata
    hows = [[how for _, how, _ in metadata.steps_of(run["run"])] for run in metadata.runs()]
    assert hows == [["executed"] * 3, ["cached"] * 3]


CHILD = "import time; held = b'x' * (60 * 2**20); time.sleep(0.5)"
PARENT = (
    f"import os, subprocess, sys, time\n"
    f"log = os.open('Step.log', os.O_WRONLY | os.O_CREAT)\n"
    f"subprocess.run([sys.executable, '-c', {CHILD!r}], stdout=log)\n"
    f"end = time.process_time() + 1.0\n"
    f"while time.process_time() < end: pass\n"
    f"print('done')"
)


def test_the_process_tree_is_followed(bench, tmp_path):
    watched = bench("processes").watch([sys.executable, "-c", PARENT], tmp_path)
    assert (watched.code, watched.output) == (0, "done\n")
    parent, child, *others = watched.processes
    assert others == []
    assert child.peak_mb > 60 > parent.peak_mb > 1
    assert child.steps == ["Step"]
    assert parent.steps == []
    assert parent.cpu_seconds >= 0.3  # of 1.0; the last look may come some time before the end
    assert watched.seconds >= 0.5


def test_the_report_of_a_run_leaves_out_what_was_cached(bench):
    steps = {
        "ExampleGen": {"status": "cached", "seconds": 2.0, "examples": 60},
        "SchemaGen": {"status": "executed", "seconds": 0.5, "examples": None},
        "Trainer": {"status": "executed", "seconds": 4.0, "examples": 1000},
    }
    worker = {"name": "worker", "steps": ["Trainer"], "peak_mb": 900.0, "cpu_seconds": 8.0}
    forked = {"name": "worker", "steps": [], "peak_mb": 900.0, "cpu_seconds": 0.0}
    text = bench("measure_run").report(
        {
            "steps": steps,
            "processes": [worker, forked],
            "training": {"examples_per_second": 500.0, "input_wait_share": 0.01},
            "seconds": 5.0,
            "cpu_seconds": 8.0,
        }
    )
    assert "| ExampleGen | cached | 60 | – |" in text
    assert "| SchemaGen | 0.500 | – | – |" in text
    assert "| Trainer | 4.00 | 1,000 | 250 |" in text
    assert text.count("| worker |") == 1


def test_pictures_in_folders_are_those_in_memory(bench, tmp_path):
    from PIL import Image

    generated = bench("generated_images")
    generated.write_folders(tmp_path / "pictures", 20)
    pixels, labels = generated.pixels_of(20)
    files = sorted((tmp_path / "pictures").glob("*/*.png"), key=lambda path: path.name)
    assert len(files) == 20
    assert [int(path.parent.name[-1]) for path in files] == labels.tolist()
    for path, expected in zip(files, pixels, strict=True):
        with Image.open(path) as image:
            assert image.tobytes() == expected.tobytes()


def leaves(model):
    """Layers by type, those of nested models too, but what only one of the two ways needs."""
    import keras

    # The Trainer's activations and masks are layers of their own.
    left_out = ("Activation", "FrameMask", "InputLayer", "Permute", "ReLU", "TokenMask")
    ours = {
        "LogMel": ["Rescaling", "MelSpectrogram"],
        "FrameNormalization": ["BatchNormalization"],
    }
    found = []
    for layer in model.layers:
        name = type(layer).__name__
        found += leaves(layer) if isinstance(layer, keras.Model) else ours.get(name, [name])
    return sorted(name for name in found if name not in left_out)


MASKED = "ignore:Layer .* does not support masking"
"""The plain network of recordings hands each mask on by itself."""


@pytest.mark.filterwarnings(MASKED)
@pytest.mark.parametrize("kind", ["cnn", "mlp", "small_resnet", "text_gru", "speech_crnn"])
def test_the_trainer_and_plain_keras_build_the_same_network(bench, kind):
    training, plain = bench("training"), bench("plain_keras")
    assert set(plain.NETWORKS) == set(training.NETWORKS)
    task, state = training.task_of(kind)
    built, network = task.build(state), plain.network(kind)
    assert built.count_params() == network.count_params()
    assert leaves(built) == leaves(network)


# As Keras says in the first epoch of buckets, whose number it cannot know.
@pytest.mark.filterwarnings("ignore:Your input ran out of data", MASKED)
@pytest.mark.parametrize("kind", ["mlp", "speech_crnn"])
def test_the_trainer_and_plain_keras_train_on_the_same_data(bench, tmp_path, kind):
    import keras

    training, plain = bench("training"), bench("plain_keras")

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((self.model.count_params(), sorted(logs)))

    seen = []
    inputs, labels = plain.data_of(kind, 110)
    parts = (inputs[10:], labels[10:]), (inputs[:10], labels[:10])
    training.write_transformed(tmp_path, *parts)
    training.train_as_trainer(tmp_path, kind, "memory", 1, Look())
    for given in ("arrays", "tf.data"):
        options = {"batch_size": 128, "epochs": 1, "callbacks": [Look()]}
        plain.train(kind, given, *parts, **options)
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


def test_texts_are_of_their_class_and_fill_the_buckets(bench):
    generated = bench("generated_texts")
    texts, labels = generated.ids_of(500)
    told = [[word for word in text if word < 2 + generated.CLASSES] for text in texts]
    assert told == [[2 + label] for label in labels]
    lengths = [len(text) for text in texts]
    assert (min(lengths), max(lengths)) == (4, 64)
    filled = sum(lengths) / sum(min(b for b in generated.BOUNDARIES if b >= n) for n in lengths)
    assert filled > 0.7


def test_recordings_have_the_pitch_of_their_class_and_fill_the_buckets(bench):
    import numpy as np

    generated = bench("generated_sounds")
    waveforms, labels = generated.waveforms_of(200)
    for waveform, label in zip(waveforms[:20], labels[:20], strict=True):
        loudest = np.abs(np.fft.rfft(waveform)).argmax() * 8_000 / len(waveform)
        assert loudest == pytest.approx(200 * 1.3**label, abs=5)  # 8000 / 1600 Hz apart
    lengths = [len(waveform) for waveform in waveforms]
    assert min(lengths) == 1_600
    assert max(lengths) <= 8_000
    filled = sum(lengths) / sum(min(b for b in generated.BOUNDARIES if b >= n) for n in lengths)
    assert filled > 0.75


def test_ratios_are_taken_turn_by_turn(bench):
    times = {
        "memory": [
            {"steps": 1.0, "epoch": 2.0, "cpu": 1.0},
            {"steps": 2.0, "epoch": 2.0, "cpu": 1.0},
        ],
        "arrays": [
            {"steps": 2.0, "epoch": 3.0, "cpu": 2.0},
            {"steps": 2.0, "epoch": 1.0, "cpu": 2.0},
        ],
    }
    # 100 pictures, 90 of them for training: 90 / 1.5 s = 60/s; ratios 2 and 1, 1.5 and 0.5.
    text = bench("training").report("cnn", 100, times)
    assert "| cnn | Trainer | 60.0 | – | 45.0 | – |" in text
    assert "| 45.0 | 1.50 (1.00–2.00) | 45.0 | 1.00 (0.50–1.50) |" in text


def test_the_input_pipeline_runs_beside_the_plain_chain(bench, tmp_path, monkeypatch):
    measured = bench("input_pipeline")
    monkeypatch.setattr(measured, "WARM_UP_SECONDS", 0.01)
    text = measured.measure_texts(tmp_path, 0.002, seconds=0.01, turns=1)
    assert "400 of 4 to 64 tokens" in text
    assert text.count("| Penstock, 6 buckets") == text.count("| plain tf.data") == 2


FUZZED = {
    **dict.fromkeys(("CSV", "CSV, gzip", "JSON lines", "TFRecord"), 22),
    **dict.fromkeys(("PNG", "JPEG", "WAV", "FLAC"), 22),
    **dict.fromkeys(("Parquet", "zip", "tar", "tar.gz"), 6),
}
"""Damaged files of each format, 200 in all; each of the last four is read by a pipeline of its own."""


@pytest.mark.parametrize("name", FUZZED)
def test_damaged_files_lose_nothing_and_tell_nothing_wrong(bench, tmp_path, name):
    fuzz = bench("fuzz")
    assert fuzz.KINDS.keys() == FUZZED.keys()
    found = fuzz.run_kind(fuzz.KINDS[name], tmp_path, FUZZED[name], seed=1)
    assert found.faults == []
    assert found.damaged >= FUZZED[name] / 2
    assert found.bad + found.refused > 0
