"""text.classification: tokens and ids by hand, awkward strings, and what a config must not say."""

import json

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from penstock.models.text.classification.config import Config, Prepare
from penstock.models.text.classification.data import Data
from penstock.models.token_ids import padded
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subwords import ALPHABET, SPECIAL_TOKENS, Subwords

SOURCE = {"text": Text(), "label": Label(names=("bad", "good"))}
VOCABULARY = ("the", "don't", "!", "so-called")  # Ids 2 to 5; 0 is padding, 1 unknown.


def raw(*texts):
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    return {"text": np.array(texts, object)}


def tokens(text, **prepare):
    """The strings that are looked up."""
    data = Data(Prepare(**prepare))
    [analyzer] = data.analyzers(SOURCE).values()
    return [token.decode() for token in analyzer.values(raw(text))[0].numpy()]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("The THE don't!", [2, 2, 3, 4]),
        ("so-called--the", [5, 1, 1, 2]),
        ("the the the the the the", [2, 2, 2, 2, 2]),  # `max_length` is 5
        ("", [1]),
        (" \t\n\u3000", [1]),
        ("\x00the\x1b\x07", [2]),
        (b"\xff\xfe", [1, 1]),
        ("😀 ❤️ 👩‍💻!", [1, 1, 1, 1, 4]),  # two people joined by U+200D are two symbols
        ("猫が好き", [1]),
    ],
    ids=["case", "dashes", "long", "empty", "blank", "control", "no_utf8", "emoji", "script"],
)
def test_ids_of_words_by_hand(text, ids):
    data = Data(Prepare(max_length=5))
    found = data.prepare_inputs(raw(text, "the"), State(SOURCE, {"words": VOCABULARY}))
    assert found.dtype == tf.int32
    assert found.to_list() == [ids, [2]]


@pytest.mark.parametrize(
    ("punctuation", "expected"),
    [
        ("separate", ["it's", "“", "so-so", "”", ",", "5", "$", "!", "!"]),
        ("remove", ["it's", "so-so", "5", "$"]),
        ("attached", ["it's", "“so-so”,", "5$!!"]),
    ],
)
def test_marks(punctuation, expected):
    assert tokens("It's “so-so”,\t5$!!", punctuation=punctuation) == expected


def test_case_can_be_kept():
    assert tokens("ÄRGER Ärger", lowercase=False) == ["ÄRGER", "Ärger"]
    assert tokens("ÄRGER Ärger") == ["ärger", "ärger"]


def test_characters():
    assert tokens("Ab\né", tokens="characters") == ["a", "b", " ", "é"]
    data = Data(Prepare(tokens="characters"))
    state = State(SOURCE, {"characters": ("a", "é")})
    assert data.prepare_inputs(raw("aéx", ""), state).to_list() == [[2, 3, 1], [1]]


def test_subwords():
    """A byte's id is 4 more than itself; é is C3 A9 in UTF-8, and the one merge is 260."""
    state = State(SOURCE, {"subwords": Subwords((*SPECIAL_TOKENS, *ALPHABET, "ab"), (("a", "b"),))})
    data = Data(Prepare(tokens="subwords"))
    assert data.prepare_inputs(raw("ABé", ""), state).to_list() == [[260, 0xC3 + 4, 0xA9 + 4], [1]]
    assert data.num_ids(state) == 261


def test_vocabulary_has_the_limits_of_the_config():
    analyzer = Data(Prepare(vocabulary_size=7, minimum_count=3)).analyzers(SOURCE)["words"]
    assert (analyzer.top_k, analyzer.min_count) == (7, 3)
    assert Data(Prepare()).num_ids(State(SOURCE, {"words": VOCABULARY})) == 6


def test_padding():
    ids = tf.ragged.constant([[3, 4], [5]], tf.int32)
    assert padded(ids).numpy().tolist() == [[3, 4], [5, 0]]
    assert padded(ids, 3).numpy().tolist() == [[3, 4, 0], [5, 0, 0]]
    dense = tf.constant([[3, 0]])
    assert padded(dense) is dense
    assert padded(dense, 9).numpy().tolist() == [[3, 0]]
    assert padded(dense, 1).numpy().tolist() == [[3]]


def test_a_source_without_the_text_is_refused():
    with pytest.raises(
        ValueError, match=r"`prepare.text_feature` must .* Received: no feature `x`"
    ):
        Data(Prepare(text_feature="x")).input_features(SOURCE)


def preset(**model):
    prepare = {"tokens": "preset", "preset": "bert"}
    return {"prepare": prepare, "model": {"type": "preset", **model}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"prepare": {"preset": "bert"}}, "Received: tokens=words, preset=bert"),
        (
            {"prepare": {"tokens": "subwords", "vocabulary_size": 260}},
            "at least 261.* Received: 260",
        ),
        ({"model": {"type": "preset"}}, "Received: prepare.tokens=words, model.type=preset"),
        (
            {"prepare": {"tokens": "characters"}, "model": {"type": "gru", "embeddings": "a.txt"}},
            "`model.embeddings` needs `prepare.tokens: words`.* Received: .*=characters",
        ),
        ({"model": {"type": "gru", "freeze_embeddings": True}}, "needs `embeddings`"),
        (preset(weights=False, freeze={"until": "a"}), "`freeze` needs `weights`.* weights=false"),
        (preset(word_dropout=0.1), r"word_dropout\s+Extra inputs are not permitted"),
        (
            {"model": {"type": "transformer", "embedding_dim": 10}},
            "must divide.* Received: num_heads=4, embedding_dim=10",
        ),
    ],
)
def test_a_config_that_does_not_fit_together(sections, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate_json(json.dumps(sections))
