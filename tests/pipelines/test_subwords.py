"""Subwords: against the library's own encoding, exact inverse, files, and inside a SavedModel."""

import gzip
import itertools
import os
import re
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from penstock.pipelines.features import Text
from penstock.pipelines.transform import subword_training
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subword_tokenizer import split_words
from penstock.pipelines.transform.subword_training import library_tokenizer, train
from penstock.pipelines.transform.subwords import ALPHABET, SPECIAL_TOKENS, WORD, Subwords

CORPUS = [
    "the cat sat on the mat, the other cat sat on the other mat",
    "der Hund sa\u00df auf der Stra\u00dfe und die Stra\u00dfe war na\u00df",
    "\u4e2d\u6587\u4e2d\u6587 \u4e2d\u6587 12 123 1234 \U0001f600 \U0001f600",
]
AWKWARD = [
    "",
    " ",
    "  two  spaces  ",
    "\x00a\x00\x1f\x7f\x85\u2028\r\n\t\ufeff\u200b",
    "e\u0301 a\u0308\u0323\u0301 \u0e01\u0e33",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd\U0001f1e9\U0001f1ea",
    "[PAD] [UNK][START] [END]",
    "\u2581\u0120\u010a\xad\ufffd\ufffe\U0010ffff",
    "aaaaaaaaa" * 30,
    "\u00e4" * 33 + "\u4e2d" * 50,
    "\uff11\uff12\uff13 1234567 3.14 't don't l'\u00e9t\u00e9 \u201eso\u201c\u2026",
    " ".join(["the cat"] * 5000),
]


@pytest.fixture(scope="module")
def subwords():
    return train(words_of(CORPUS * 3).items(), 400, 2)


@pytest.fixture(scope="module")
def tokenizer(subwords):
    return State({"text": Text()}, {"pieces": subwords}).tokenizer("pieces")


@pytest.fixture(scope="module")
def library(subwords):
    return library_tokenizer(subwords)


def words_of(texts):
    return Counter(split_words(tf.constant(texts)).flat_values.numpy().tolist())


def encoded(tokenizer, texts):
    """(ids of each text, the texts that the ids give)."""
    ids = tokenizer.tokenize(tf.constant(texts))
    return ids.to_list(), [text.decode() for text in tokenizer.detokenize(ids).numpy()]


def of_the_library(library, texts):
    """What `encoded` must give."""
    return [encoding.ids for encoding in library.encode_batch(texts)], texts


def test_awkward_texts_equal_the_librarys_encoding(tokenizer, library):
    texts = AWKWARD + CORPUS
    assert encoded(tokenizer, texts) == of_the_library(library, texts)


def test_code_points_of_all_planes_equal_the_librarys_encoding(tokenizer, library):
    """Here regular expression libraries differ, if the rule of the words lets them.

    All up to the CJK punctuation, every 37th above it and those around the ends of the classes.
    """
    ends = [ord(end) + step for end in WORD if ord(end) > 0x3100 for step in (-1, 0, 1)]
    codes = [*range(0x3100), *range(0x3100, 0x110000, 37), *ends]
    valid = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    texts = ["".join(valid[first : first + 512]) for first in range(0, len(valid), 512)]
    found = encoded(tokenizer, texts)
    assert found == of_the_library(library, texts)
    assert sum(map(len, found[0])) > len(valid) > 40_000


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_text_decodes_to_itself(tokenizer, library, texts):
    assert encoded(tokenizer, texts) == of_the_library(library, texts)


@pytest.mark.parametrize("language", ["en", "de"])
def test_real_sentences_equal_the_librarys_encoding(language, repository):
    data = Path(os.environ.get("PENSTOCK_DATA", repository.parent / "shared/data"))
    path = data / f"multi30k/val.{language}.gz"
    if not path.exists():
        pytest.skip("no `multi30k` under $PENSTOCK_DATA or ../shared/data")
    sentences = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(sentences) == 1014
    subwords = train(words_of(sentences).items(), 2000, 2)
    assert len(subwords) == 2000
    state = State({"text": Text()}, {"pieces": subwords})
    found = encoded(state.tokenizer("pieces"), sentences)
    assert found == of_the_library(library_tokenizer(subwords), sentences)
    assert sum(map(len, found[0])) > 12_000


def test_words_are_those_of_python_re():
    """Python's own regular expressions are the reference for RE2's."""
    text = "Hello  world, it's 12345 nice.\r\n\u201eGro\u00df\u201c \U0001f600x"
    expected = re.findall(WORD, text)
    assert expected == (
        ["Hello", " ", " world", ",", " it", "'", "s", " 123", "45", " nice", ".", "\r", "\n"]
        + ["\u201e", "Gro\u00df", "\u201c", " \U0001f600", "x"]
    )
    [words] = split_words(tf.constant([text])).to_list()
    assert [word.decode() for word in words] == expected


def test_merges_by_hand():
    """In low x 5, lower x 2, newest x 6, widest x 3 "es" and "st" occur 9 times; ties: lowest ids.

    The example of Sennrich et al. (2016), without their end-of-word mark: es, then est, then lo
    and low (7 times).
    """
    counts = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}
    subwords = train(counts.items(), 4 + 256 + 4, 2)
    assert subwords.merges == (("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w"))
    assert subwords.tokens[:4] == SPECIAL_TOKENS
    assert set(subwords.tokens[4:260]) == set(ALPHABET)
    assert subwords.tokens[260:] == ("es", "est", "lo", "low")
    tokenizer = State({}, {"x": subwords}).tokenizer("x")
    ids = tokenizer.tokenize(tf.constant(["lowest"]))
    assert ids.to_list() == [[263, 261]]
    assert ids.dtype == tf.int32


def test_training_does_not_depend_on_the_order():
    counts = list(words_of(CORPUS * 3).items())
    assert train(counts, 350, 2) == train(reversed(counts), 350, 2)


def test_many_words_are_given_in_proportion(monkeypatch):
    """150 words in all and 20 may be given: a divisor of 8, so 100 -> 13, 40 -> 5, 10 -> 2."""
    monkeypatch.setattr(subword_training, "GIVEN_WORDS", 20)
    monkeypatch.setattr(subword_training, "DISTINCT_WORDS", 3)
    counts = [(b"rare", 9), (b"ef", 10), (b"ab", 100), (b"cd", 40)]
    divisor, times = subword_training.in_proportion(counts)
    assert (divisor, times) == (8, [(b"ab", 13), (b"cd", 5), (b"ef", 2)])
    # "ef" was there 10 times, which is enough for a `min_count` of 10 but not of 17.
    assert train(counts, 1000, 10).tokens[260:] == ("ab", "cd", "ef")
    assert train(counts, 1000, 17).tokens[260:] == ("ab", "cd")


def test_without_words_there_are_only_bytes():
    subwords = train([], 1000, 2)
    assert (len(subwords), subwords.merges) == (260, ())
    tokenizer = State({}, {"x": subwords}).tokenizer("x")
    ids = tokenizer.tokenize(tf.constant(["a\u00e4"]))
    assert tokenizer.detokenize(ids).numpy()[0].decode() == "a\u00e4"
    assert ids.row_lengths().numpy().tolist() == [3]


def test_files_round_trip_and_are_readable(subwords, tmp_path):
    State({"text": Text()}, {"pieces": subwords}).save(tmp_path)
    assert State.load(tmp_path)["pieces"] == subwords
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pieces.merges.txt", "pieces.txt", "state.json"]
    assert Subwords.load(tmp_path, "pieces") == subwords
    lines = (tmp_path / "pieces.txt").read_text("utf-8").splitlines()
    assert lines[:4] == ["[PAD]", "[UNK]", "[START]", "[END]"]
    assert "\u0120the" in lines


def test_shapes_special_tokens_and_what_is_no_text(tokenizer):
    nested = tf.ragged.constant([["the cat", ""], [], ["mat"]])
    ids = tokenizer.tokenize(nested)
    assert ids.shape.as_list() == [3, None, None]
    assert tokenizer.detokenize(ids).to_list() == [[b"the cat", b""], [], [b"mat"]]
    # Padding, start, end and numbers that are no ids: nothing.
    the = tokenizer.tokenize(tf.constant(["the"]))[0].numpy().tolist()
    padded = tf.constant([[2, *the, 3, 0, 0, -1, tokenizer.size]], tf.int64)
    assert tokenizer.detokenize(padded).numpy().tolist() == [b"the"]
    # Half of a character: the answer is UTF-8 all the same.
    half = tokenizer.tokenize(tf.constant(["\U0001f680"]))[:, :2]
    assert tokenizer.detokenize(half).numpy()[0].decode() == "\ufffd"
    broken = tokenizer.tokenize(tf.constant([b"a\xffb"]))
    assert tokenizer.detokenize(broken).numpy()[0].decode() == "a\ufffdb"
    assert tokenizer.tokenize(tf.constant([], tf.string)).to_list() == []


def test_a_saved_model_answers_with_plain_ops(subwords, tmp_path):
    state = State({"text": Text()}, {"pieces": subwords})
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def answer(texts):
        ids = state.tokenizer("pieces").tokenize(texts)
        return ids, state.tokenizer("pieces").detokenize(ids)

    module.answer = answer
    assert answer(tf.constant(["a"]))[1].numpy().tolist() == [b"a"]
    module.resources = state.resources()
    tf.saved_model.save(module, str(tmp_path))
    ids, back = tf.saved_model.load(str(tmp_path)).answer(tf.constant(AWKWARD))
    assert ids.to_list() == answer(tf.constant(AWKWARD))[0].to_list()
    assert [text.decode() for text in back.numpy()] == AWKWARD
    assert not foreign_ops(tmp_path)


def foreign_ops(directory):
    """Ops that TensorFlow itself does not bring: TensorFlow Text's are in its own libraries."""
    saved = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *itertools.chain(*(f.node_def for f in graph.library.function))]
    ours = [node.op for node in nodes if not hasattr(tf.raw_ops, node.op)]
    return set(ours) - {function.signature.name for function in graph.library.function}


def test_tokenizer_of_a_vocabulary_is_refused(subwords):
    state = State({}, {"words": ("a",), "pieces": subwords})
    with pytest.raises(TypeError, match="needs a SubwordVocabulary. Received: 'words'.*tuple"):
        state.tokenizer("words")
    with pytest.raises(TypeError, match="needs a Vocabulary. Received: 'pieces'"):
        state.lookup("pieces")
    assert state.tokenizer("pieces") is state.tokenizer("pieces")


def test_files_of_two_analyzers_must_differ(subwords, tmp_path):
    with pytest.raises(ValueError, match="writes a file `a.merges.txt`. Received: another"):
        State({}, {"a": subwords, "a.merges": ("x",)}).save(tmp_path)
