"""The benchmark of trainings that write sequences: both ways train one network on the same tokens."""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COUNT = 80


@pytest.fixture(scope="module")
def bench():
    """A script of the folder as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))


class Look(keras.callbacks.Callback):
    """What was trained in the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.seen = self.model.count_params(), sorted(logs)


# As Keras says in the first epoch of buckets, whose number it cannot know.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", ["translation_gru", "recognition_deep_speech"])
def test_both_ways_train_the_same_network(bench, tmp_path, kind):
    sequence, training = bench("sequence_training"), bench("training")
    inputs, targets = sequence.data_of(kind, COUNT)
    parts = {"train": (inputs[8:], targets[8:]), "validation": (inputs[:8], targets[:8])}
    ours, plain = Look(), Look()
    training.write_examples(
        tmp_path, sequence.tensors_of(kind), parts, lambda *rows: sequence.flat(kind, *rows)
    )
    task, state = sequence.task_of(kind)
    training.fit_as_trainer(tmp_path, task, state, sequence.train_config(kind, 1), ours)
    sequence.train_plainly(kind, parts, 1, plain)
    assert ours.seen == plain.seen


@pytest.mark.parametrize("kind", ["translation_gru", "recognition_deep_speech"])
def test_plain_batches_hold_every_example_once(bench, kind):
    sequence = bench("sequence_training")
    inputs, targets = sequence.data_of(kind, COUNT)
    task, state = sequence.task_of(kind)
    batches = sequence.plain_batches(kind, task, state, inputs, targets, shuffle=True)
    found = [row[row != 0].tolist() for _, rows in batches for row in rows.numpy()]
    assert sorted(found) == sorted(target.tolist() for target in targets)


def test_generated_pairs_are_what_they_say(bench):
    generated = bench("generated_pairs")
    sources, targets = generated.texts_of(300)
    for source, target in zip(sources, targets, strict=True):
        expected = generated.VOCABULARY + 3 - source[::-1]
        np.testing.assert_array_equal(target[: len(source)], expected)
    lengths = [len(target) for target in targets]
    assert max(lengths) <= generated.LONGEST_TEXT
    assert min(lengths) >= 4
    waveforms, texts = generated.recordings_of(20)
    for waveform, text in zip(waveforms, texts, strict=True):
        assert len(waveform) == len(text) * generated.TONE_SAMPLES
        first = np.abs(np.fft.rfft(waveform[: generated.TONE_SAMPLES])).argmax() * 5  # Hz a bin
        assert first == pytest.approx(200 * 1.3 ** text[0], abs=5)


def test_units_count_what_is_trained_on(bench):
    """Of 20 examples 18, the first two are held out."""
    sequence, generated = bench("sequence_training"), bench("generated_pairs")
    sources, targets = generated.texts_of(20)
    tokens = sum(len(text) for text in [*sources[2:], *targets[2:]])
    assert sequence.units_of("translation_gru", 20) == tokens
    waveforms, _ = generated.recordings_of(20)
    assert sequence.units_of("recognition_deep_speech", 20) == sum(map(len, waveforms[2:])) / 8000
