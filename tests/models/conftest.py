"""A small, generated data set and config for each task: what the conformance tests run on.

A new task gets an entry in `CASES`; `test_conformance.py` then runs on it as it stands.
"""

import io
import json
import wave
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from PIL import Image as PILImage

from penstock.models.locate import config_class, task_class
from penstock.pipelines.features import Audio, Features, Image, Label, Text
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subwords import ALPHABET, SPECIAL_TOKENS, Subwords

EXAMPLES = 12


@dataclass(frozen=True)
class Case:
    """One task on generated data.

    Attributes:
        name: the task's.
        config: the task's sections, as in a YAML file.
        source: what a source would describe.
        results: what the analyzers would find.
        raw: every raw feature, [EXAMPLES].
        augments: whether `config` switches augmentation on.
    """

    name: str
    config: dict
    source: Features
    results: dict
    raw: dict
    augments: bool = False

    @cached_property
    def task(self):
        config = config_class(self.name).model_validate_json(json.dumps(self.config))
        return task_class(self.name)(config)

    @cached_property
    def state(self):
        return State(self.source, self.results)

    @property
    def requests(self) -> dict:
        """The raw features that a request carries."""
        names = self.task.input_features(self.source)
        return {name: self.raw[name] for name in names}

    @cached_property
    def prepared(self):
        """(inputs, targets, sample_weight) of all examples, eagerly."""
        inputs = self.task.prepare_inputs(self.requests, self.state)
        return inputs, *self.task.prepare_targets(self.raw, self.state)

    def training_batch(self, examples: int):
        """(inputs, targets) as `fit` gets them, without augmentation."""
        import keras

        inputs, targets, _ = self.prepared
        fed = self.task.training_inputs(inputs, targets, self.state)
        return keras.tree.map_structure(lambda x: x[:examples], fed)


def _classification() -> Case:
    """Grey 8x8 images, PNG and JPEG by turns: class 0 is dark, 1 bright above, 2 bright left."""
    generator = np.random.default_rng(0)
    label = np.arange(EXAMPLES) % 3
    pixels = generator.integers(0, 60, (EXAMPLES, 8, 8), dtype=np.uint8)
    pixels[label == 1, :4] += 180
    pixels[label == 2, :, :4] += 180
    return Case(
        name="vision.classification",
        config={
            "prepare": {"height": 8, "width": 8},
            "model": {
                "type": "cnn",
                "filters": [8],
                "dense_units": [16],
                "dropout": 0.1,
                "batch_normalization": True,
                "l2": 1e-4,
            },
            "augment": {"shift": 0.2, "flip": "both", "mix_up": {}},
            "loss": {"label_smoothing": 0.05},
            "metrics": {"top_k": 2},
        },
        source={"image": Image(channels=1), "label": Label(names=("dark", "above", "left"))},
        results={},
        raw={
            "image": np.array(
                [_image(p, "PNG" if n % 2 else "JPEG") for n, p in enumerate(pixels)], object
            ),
            "label": label.astype(np.int64),
        },
        augments=True,
    )


def _image(pixels, encoding) -> bytes:
    stream = io.BytesIO()
    PILImage.fromarray(pixels).save(stream, encoding)
    return stream.getvalue()


def _small_resnet() -> Case:
    """The same images, by a residual network on a backbone of KerasHub's kind."""
    model = {"type": "small_resnet", "filters": [8, 12], "blocks": 1, "dropout": 0.1, "l2": 1e-4}
    augment = {"random_erasing": {"probability": 0.8}, "cut_mix": {}}
    config = {"prepare": {"height": 8, "width": 8}, "model": model, "augment": augment}
    return replace(_classification(), config=config)


def _reversal() -> Case:
    """Words with an umlaut, one empty and one too long."""
    words = ["stone", "water", "gate", "pipe", "flow", "mühle", "rad", "turbine", "river", "lake"]
    words += ["", "penstocks-and-sluices"]
    cut = [word[:10] for word in words]
    counts = Counter("".join(cut))
    by_count = sorted(counts, key=lambda c: (-counts[c], c.encode()))
    return Case(
        name="text.reversal",
        config={"prepare": {"max_characters": 10}, "model": {"embedding_dim": 16, "units": 24}},
        source={"text": Text()},
        results={"characters": tuple(by_count)},
        raw={"text": np.array([word.encode() for word in words], object)},
    )


def _tones() -> Case:
    """Sines of 300, 900 and 2700 Hz with noise; one recording is too short, one too long."""
    generator = np.random.default_rng(0)
    label = np.arange(EXAMPLES) % 3
    samples = [1000 if n == 4 else 3000 if n == 7 else 2000 for n in range(EXAMPLES)]
    recordings = [
        np.sin(2 * np.pi * (300 * 3**k) * np.arange(n) / 8000) + generator.normal(0, 0.1, n)
        for k, n in zip(label, samples, strict=True)
    ]
    return Case(
        name="speech.tones",
        config={"prepare": {"seconds": 0.25}, "model": {"filters": 8, "mel_bands": 20}},
        source={"audio": Audio(sample_rate_hz=8000), "label": Label(names=("low", "mid", "high"))},
        results={},
        raw={
            "audio": np.array([_wav(r) for r in recordings], object),
            "label": label.astype(np.int64),
        },
    )


def _keywords() -> Case:
    """Tones of 300, 900 and 2700 Hz of several rates and lengths, mono and stereo, one silent."""
    generator = np.random.default_rng(0)
    label = np.arange(EXAMPLES) % 3
    recordings = []
    for n, k in enumerate(label):
        rate = 11_025 if n == 5 else 8000
        seconds = (0.06, 0.12, 0.09, 0.1)[n % 4]
        time = np.arange(round(seconds * rate)) / rate
        sine = np.sin(2 * np.pi * 300 * 3**k * time) + generator.normal(0, 0.1, len(time))
        channels = (
            np.stack([sine, 0.5 * sine], axis=1) if n % 5 == 3 else 0 * sine if n == 10 else sine
        )
        recordings.append(_wav(channels, rate))
    return Case(
        name="speech.keyword_spotting",
        config={
            "prepare": {"sample_rate_hz": 8000, "max_seconds": 0.1, "class_weights": "balanced"},
            "spectrogram": {"mel_bands": 8},
            "model": {
                "type": "ds_cnn",
                "filters": 8,
                "first_kernel": [3, 3],
                "blocks": 1,
                "dropout": 0.1,
            },
            "augment": {
                "speed": 0.1,
                "shift_ms": 20.0,
                "gain_db": 6.0,
                "noise": {"colour": "white"},
                "spec_augment": {"time_masks": 1, "frequency_masks": 1, "bands": 2},
            },
        },
        source={"audio": Audio(), "label": Label(names=("low", "mid", "high"))},
        results={"label_counts": {"0": 4, "1": 4, "2": 4}},
        raw={"audio": np.array(recordings, object), "label": label.astype(np.int64)},
        augments=True,
    )


def _speech() -> Case:
    """Letters are tones of 50 ms; rates and lengths differ, one recording is silent, one stereo."""
    texts = ["a", "ab", "B a", "ba!", "aa", "b", "a b", "bab", "abb", "b-a", "", "b b"]
    generator = np.random.default_rng(0)
    recordings = []
    for n, text in enumerate(texts):
        rate = 16_000 if n == 5 else 8000
        hz = np.array([{"a": 500, "b": 2000}.get(c, 0) for c in f" {text.lower()} "])
        times = np.arange(round(0.05 * rate)) / rate
        sounds = np.sin(2 * np.pi * hz[:, None] * times).ravel()
        sounds += generator.normal(0, 0.05, len(sounds))
        recordings.append(_wav(np.stack([sounds, sounds], axis=1) if n == 3 else sounds, rate))
    return Case(
        name="speech.recognition",
        config={
            "prepare": {"sample_rate_hz": 8000, "max_seconds": 0.25},
            "spectrogram": {"window_ms": 16.0, "hop_ms": 8.0, "mel_bands": 8},
            "model": {
                "type": "deep_speech",
                "filters": [6],
                "kernel": [3, 3],
                "time_stride": 1,
                "units": 8,
                "recurrent_layers": 1,
            },
            "augment": {
                "speed": 0.1,
                "gain_db": 6.0,
                "noise": {"colour": "white"},
                "spec_augment": {"time_masks": 1, "frequency_masks": 1, "bands": 2},
            },
            "decode": {"type": "beam", "beam_size": 4},
        },
        source={"audio": Audio(), "text": Text()},
        # b 12, a 9, blank 2, hyphen 1; the exclamation mark is no part of a word.
        results={"characters": ("b", "a", " ", "-")},
        raw={
            "audio": np.array(recordings, object),
            "text": np.array([text.encode() for text in texts], object),
        },
        augments=True,
    )


def _wav(waveform, rate=8000) -> bytes:
    """Samples [frames] or [frames, channels], -2..2."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(waveform.size // len(waveform))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((waveform * 16000).clip(-32768, 32767).astype("<i2").tobytes())
    return stream.getvalue()


def _texts() -> Case:
    """Texts of three moods, one empty, one too long; their words stand apart already."""
    moods = ("good", "bad", "dull")
    fillings = ["a {} pipe", "the gate is {} !", "{}", "weir , {} , mühle"]
    label = np.arange(EXAMPLES) % 3
    texts = [fillings[n % 4].format(moods[k]) for n, k in enumerate(label)]
    texts[4], texts[10] = "", "bad " * 12
    counts = Counter(" ".join(texts).split())
    words = sorted(counts, key=lambda word: (-counts[word], word.encode()))
    return Case(
        name="text.classification",
        config={
            "prepare": {"max_length": 8, "minimum_count": 1, "class_weights": "balanced"},
            "model": {
                "type": "cnn",
                "embedding_dim": 16,
                "filters": 12,
                "dropout": 0.1,
                "word_dropout": 0.1,
            },
        },
        source={"text": Text(), "label": Label(names=moods)},
        results={"words": tuple(words), "label_counts": {"0": 4, "1": 4, "2": 4}},
        raw={
            "text": np.array([text.encode() for text in texts], object),
            "label": label.astype(np.int64),
        },
    )


def _translation() -> Case:
    """Counted things in English and German, one text empty, one too long."""
    numbers = [("one", "ein"), ("two", "zwei"), ("three", "drei"), ("four", "vier")]
    things = [("gate", "Tor"), ("mill", "Mühle"), ("weir", "Wehr")]
    pairs = [(f"{a} {b}", f"{x} {y}") for a, x in numbers for b, y in things]
    pairs[4], pairs[10] = ("", ""), ("water " * 12, "Wasser " * 12)
    sources, targets = zip(*pairs, strict=True)
    return Case(
        name="text.translation",
        config={
            "prepare": {
                "source_feature": "en",
                "target_feature": "de",
                "vocabulary_size": 261,  # one merge: of the pair that comes most often
                "max_source_tokens": 12,
                "max_target_tokens": 14,
            },
            "model": {
                "type": "transformer",
                "dim": 16,
                "num_layers": 1,
                "num_heads": 2,
                "intermediate_dim": 24,
            },
            "decode": {"beam_size": 2},
        },
        source={"en": Text(), "de": Text()},
        results={"subwords": _subwords("e", "r")},  # 26 times
        raw={
            "en": np.array([text.encode() for text in sources], object),
            "de": np.array([text.encode() for text in targets], object),
        },
    )


def _translation_recurrent() -> Case:
    """The same texts, by recurrent networks that have a vocabulary for each language."""
    case = _translation()
    model = {"type": "lstm", "attention": "multiplicative", "embedding_dim": 12, "units": 10}
    prepare = {**case.config["prepare"], "vocabulary": "separate"}
    results = {
        "source_subwords": _subwords("a", "t"),  # 16 times, in gate and water
        "target_subwords": _subwords("\u0120", "W"),  # 15 times, in Wehr and Wasser
    }
    config = {"prepare": prepare, "model": model, "decode": {"beam_size": 1}}
    return replace(case, config=config, results=results)


def _summarization() -> Case:
    """Orders of a mill and what was ordered, by a network that may copy; one empty, one too long."""
    things = ["flour", "bran", "grist", "rye"]
    documents = [f"Day {n}.\nThe miller sells all {things[n % 4]}." for n in range(EXAMPLES)]
    summaries = [f"{things[n % 4]} on day {n}" for n in range(EXAMPLES)]
    documents[4], summaries[10] = "", "rye " * 20
    return Case(
        name="text.summarization",
        config={
            "prepare": {"vocabulary_size": 261, "max_source_tokens": 40, "max_target_tokens": 24},
            "model": {"type": "gru", "pointer_generator": True, "embedding_dim": 12, "units": 10},
            "decode": {"beam_size": 2},
        },
        source={"source": Text(), "target": Text()},
        results={"subwords": _subwords("l", "l")},  # 33 times: miller, sells, all
        raw={
            "source": np.array([text.encode() for text in documents], object),
            "target": np.array([text.encode() for text in summaries], object),
        },
    )


def _subwords(left, right) -> Subwords:
    return Subwords((*SPECIAL_TOKENS, *sorted(ALPHABET), left + right), ((left, right),))


CASES = {
    make.__name__: make
    for make in (
        _classification,
        _small_resnet,
        _reversal,
        _tones,
        _texts,
        _keywords,
        _translation,
        _translation_recurrent,
        _summarization,
        _speech,
    )
}


@pytest.fixture(scope="module", params=CASES.values(), ids=[name.strip("_") for name in CASES])
def case(request):
    """Each task's case; all tests of one come together."""
    keras = pytest.importorskip("keras")
    yield request.param()
    keras.backend.clear_session()
