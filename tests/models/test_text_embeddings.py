"""Word vectors from small files of both forms."""

import gzip
import logging

import numpy as np
import pytest

from penstock.models.text.classification.config import Config
from penstock.models.text.classification.embeddings import filled
from penstock.models.text.classification.task import Task
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State

GLOVE = "the 1 2\nmühle 3 -4\n. . 9 9\nthe 7 7\n"
WORDS = ("", "", "mühle", "absent", "the")


@pytest.fixture
def initial():
    return np.array([[1, -1], [1, -1], [1, -1], [1, -1], [1, -1]], np.float32)


@pytest.mark.parametrize("form", ["glove", "word2vec", "gzip"])
def test_known_words_have_the_files_vectors(form, initial, tmp_path):
    """1, 2, 3 and -4 have the standard deviation sqrt(7.25); the first vector of a word counts."""
    path = tmp_path / ("vectors.gz" if form == "gzip" else "vectors.txt")
    text = ("4 2\n" if form == "word2vec" else "") + GLOVE
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    vectors, known = filled(initial, WORDS, path)
    assert (known, vectors.dtype) == (2, np.float32)
    assert vectors[[2, 4]].tolist() == [[3, -4], [1, 2]]
    np.testing.assert_allclose(vectors[3], [7.25**0.5, -(7.25**0.5)], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\n", r"\(2\). Received: 3 numbers in line 1"),
        ("9 300\nthe 1 2\n", "Received: vectors of 300 numbers in line 1"),
        ("a 1 2\nthe 1\n", "Received: 1 numbers in line 2"),
        ("the 1 x\n", "something that is no number in line 1"),
        ("other 1 2\n", "has none of 3 words"),
    ],
)
def test_a_file_that_does_not_fit(text, message, initial, tmp_path):
    (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        filled(initial, WORDS, tmp_path / "vectors.txt")


def test_a_missing_file_shows_before_the_run(tmp_path):
    model = {"type": "cnn", "embeddings": tmp_path / "none.txt"}
    [fault] = Config.model_validate({"model": model}).check()
    assert "none.txt', where there is none" in fault


@pytest.mark.parametrize("network", ["average", "transformer"])
def test_a_task_begins_with_them(network, tmp_path, caplog):
    path = tmp_path / "vectors.txt"
    path.write_text(GLOVE)
    model = {"type": network, "embedding_dim": 2, "embeddings": path, "freeze_embeddings": True}
    if network == "transformer":
        model["num_heads"] = 1
    task = Task(Config.model_validate({"model": model}))
    assert task.config.files() == [path]
    assert task.initial_weights() == str(path)
    state = State(
        {"text": Text(), "label": Label(names=("a", "b"))}, {"words": ("the", "absent", "x")}
    )
    with caplog.at_level(logging.INFO):
        built = task.build(state)
    assert "vectors of 1 of 3 words (33.3%)" in caplog.text
    [vectors] = [weight for weight in built.weights if weight.shape == (5, 2)]
    assert vectors.numpy()[2].tolist() == [1, 2]
    assert vectors.path not in {weight.path for weight in built.trainable_weights}
