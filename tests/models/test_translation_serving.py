"""text.translation as it is served: any string in, a text out, and where it was read from."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.sequence_to_sequence import task as task_module
from penstock.models.sequence_to_sequence.config import Decode
from penstock.models.text.translation.config import Config
from penstock.models.text.translation.task import Task
from penstock.pipelines.features import Text
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subwords import ALPHABET, SPECIAL_TOKENS, Subwords

PAIRS = [("one", "ein"), ("two", "zwei"), ("three", "drei"), ("one two", "ein zwei")]
SUBWORDS = Subwords((*SPECIAL_TOKENS, *sorted(ALPHABET), "ei"), (("e", "i"),))


@pytest.fixture(scope="module", params=["transformer", "gru"])
def task(request):
    model = {
        "transformer": {"type": "transformer", "dim": 32, "num_layers": 1, "num_heads": 2},
        "gru": {"type": "gru", "embedding_dim": 24, "units": 24},
    }[request.param]
    sections = {
        "prepare": {"max_source_tokens": 12, "max_target_tokens": 12},
        "model": {**model, "dropout": 0.0},
        "decode": {"beam_size": 3, "max_ratio": 1.0},
    }
    return Task(Config.model_validate_json(json.dumps(sections)))


@pytest.fixture(scope="module")
def signatures(task, tmp_path_factory):
    """Those of a SavedModel that has learnt `PAIRS`, read back."""
    keras.utils.set_random_seed(0)
    state = State({"source": Text(), "target": Text()}, {"subwords": SUBWORDS})
    model = task.build(state)
    task.compile(model, keras.optimizers.Adam(0.01), jit_compile=False)
    source, target = (np.array([pair[side] for pair in PAIRS]) for side in (0, 1))
    inputs = task.prepare_inputs({"source": source}, state)
    targets, _ = task.prepare_targets({"target": target}, state)
    fed = task.training_inputs(inputs, targets, state)
    for _ in range(60):
        model.train_on_batch(*fed)
    spec = tf.TensorSpec([None], tf.string, name="source")
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    module.resources = state.resources()

    def serve(source):
        return task.decode(model, task.prepare_inputs({"source": source}, state), state)

    attention, names = task.serve(model, state)["attention"]
    assert names == ("source",)
    functions = {
        "serving_default": tf.function(serve).get_concrete_function(source=spec),
        "attention": tf.function(
            lambda source: attention({"source": source})
        ).get_concrete_function(source=spec),
    }
    directory = str(tmp_path_factory.mktemp("served"))
    tf.saved_model.save(module, directory, functions)
    loaded = tf.saved_model.load(directory)
    yield loaded.signatures
    keras.backend.clear_session()


@pytest.fixture(scope="module")
def served(signatures):
    """list of texts -> answer as NumPy arrays."""

    def answer(*texts):
        answers = signatures["serving_default"](source=tf.constant(texts))
        return {name: value.numpy() for name, value in answers.items()}

    return answer


def test_it_has_learnt(served):
    answer = served(*(source for source, _ in PAIRS))
    assert [text.decode() for text in answer["text"]] == [target for _, target in PAIRS]
    assert answer["complete"].all()
    assert (answer["score"] < 0).all()


UNUSUAL = {
    "empty": "",
    "blank": " \t\r\n\u2003",
    "control_characters": "\x00\x07one\x1b\x7f",
    "emoji": "😀👍🏽",
    "another_script": "Отличный фильм",
    "ten_thousand_words": "one " * 10_000,
    "no_utf8": b"one \xff",
    "special_tokens": "[START][END][PAD]",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_every_text_has_an_answer_with_an_end(served, name):
    answer = served(UNUSUAL[name])
    text = answer["text"][0].decode()
    assert len(text.encode()) <= 2 * 12  # no token of this vocabulary has more than two bytes
    assert "[" not in text
    assert np.isfinite(answer["score"]).all()


def test_a_text_that_is_cleaned_to_another_has_its_answer(served):
    assert served("  one\ttwo\n")["text"] == served("one two")["text"]
    assert served("three" + " two" * 99)["text"] == served("three two tw")["text"]  # 12 tokens


def test_a_source_that_is_cut_has_no_complete_answer(served):
    assert served("one two", "one" + " two" * 99)["complete"].tolist() == [True, False]


def test_an_answer_is_the_same_alone_and_among_others(served):
    texts = [text if isinstance(text, bytes) else text.encode() for text in UNUSUAL.values()]
    together, alone = served(*texts), [served(text) for text in texts]
    assert together["text"].tolist() == [answer["text"][0] for answer in alone]
    scores = [answer["score"][0] for answer in alone]
    np.testing.assert_allclose(together["score"], scores, rtol=1e-4)


def test_no_request_at_all_is_answered(signatures):
    answer = signatures["serving_default"](source=tf.zeros([0], tf.string))
    assert {name: tuple(value.shape) for name, value in answer.items()} == {
        "text": (0,),
        "score": (0,),
        "complete": (0,),
    }


def test_attention_is_of_the_answer_and_sums_to_one(signatures):
    found = signatures["attention"](source=tf.constant(["one two", "one"]))
    found = {name: value.numpy() for name, value in found.items()}
    source = [[t.decode() for t in row if t] for row in found["source_tokens"]]
    target = [[t.decode() for t in row if t] for row in found["target_tokens"]]
    assert source == [list("one two"), list("one")]
    assert target == [["ei", "n", " ", "z", "w", "ei", "[END]"], ["ei", "n", "[END]"]]
    weights = found["attention"]
    assert weights.shape == (2, 7, 7)
    np.testing.assert_allclose(weights.sum(axis=2), 1.0, rtol=1e-5)
    assert weights[1, :, 3:].max() == 0.0


def test_explanations_are_maps_of_attention(task, signatures):
    features = {"source": np.array([b"three", b"\xff" * 300], object)}
    state = State({"source": Text(), "target": Text()}, {"subwords": SUBWORDS})
    found = task.explain(signatures, features, {}, state)
    first = json.loads(json.dumps(found[0]))["attention"]
    assert first["source"] == list("three")
    assert "".join(first["target"]) == "drei[END]"
    assert np.array(first["weights"]).shape == (len(first["target"]), 5)
    assert len(found[1]["attention"]["source"]) == 12


def test_maps_of_long_sources_have_what_was_looked_at_most(task, monkeypatch):
    """Of five tokens the second and the fourth have the largest weights; two rows of three are shown."""
    monkeypatch.setattr(task_module, "MOST_SOURCE", 2)
    monkeypatch.setattr(task_module, "MOST_TARGET", 2)
    weights = [[0.1, 0.1, 0.1, 0.6, 0.1], [0.2, 0.5, 0.2, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]
    answer = {
        "source_tokens": tf.constant([list("abcde")]),
        "target_tokens": tf.constant([["x", "y", "z", ""]]),
        "attention": tf.constant([[*weights, [0.2] * 5]]),
    }
    features = {"source": np.array([b"abcde"], object)}
    [found] = task.explain({"attention": lambda source: answer}, features, {}, None)
    assert found["attention"]["source"] == ["b", "d", "…"]
    assert found["attention"]["target"] == ["x", "y"]
    np.testing.assert_allclose(
        found["attention"]["weights"], [[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]], atol=1e-4
    )


@pytest.mark.parametrize(("lowercase", "expected"), [(True, "ein hund"), (False, "Ein Hund")])
def test_a_reference_is_compared_in_the_case_that_is_learned(lowercase, expected):
    config = Config.model_validate({"prepare": {"lowercase": lowercase}})
    decoded = {"text": np.array([b"ein hund"], object), "complete": np.array([True])}
    features = {"source": np.array([b"A dog"], object), "target": np.array([b"Ein Hund"], object)}
    found = Task(config).evaluate_batch(decoded, None, features, None)
    assert found["reference"].tolist() == [expected]


def test_no_ratio_is_too_large(task, monkeypatch):
    config = task.config.model_copy(update={"decode": Decode(max_ratio=1e9)})
    monkeypatch.setattr(task, "config", config)
    limits = []
    monkeypatch.setattr(
        task_module.search, "beam", lambda model, source, limit, **rest: limits.append(limit)
    )
    task._answers(None, tf.constant([[5, 6, 7]]))
    assert limits[0].numpy().tolist() == [12]
