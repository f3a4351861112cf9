"""State: files, tables and layers."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State

FEATURES = {"text": Text(), "label": Label(names=("no", "yes"))}
AWKWARD = ("b", "a\nb", "\\n", "", "\r", "\xe4", b"\xff".decode("utf-8", "surrogateescape"))


def _state():
    moments = {"mean": 1.5, "variance": 0.25, "count": 4}
    return State(FEATURES, {"words": AWKWARD, "size": moments})


def test_files_round_trip(tmp_path):
    _state().save(tmp_path)
    loaded = State.load(tmp_path)
    assert loaded.features == FEATURES
    assert loaded["words"] == AWKWARD
    assert loaded["size"] == {"mean": 1.5, "variance": 0.25, "count": 4}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json", "words.txt"]


def test_equal_states_have_equal_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _state().save(tmp_path / name)
    for file in ("state.json", "words.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_lookup_reserves_ids_and_has_a_default():
    state = _state()
    table = state.lookup("words", reserved=2, default=1)
    found = table.lookup(tf.constant([b"b", b"a\nb", b"\xff", b"unheard"]))
    # Position in the vocabulary plus 2; 1 for the unknown.
    np.testing.assert_array_equal(found, [2, 3, 8, 1])
    assert state.lookup("words", reserved=2, default=1) is table
    assert state.lookup("words") is not table


def test_table_made_while_tracing_outlives_the_graph(tmp_path):
    state = _state()

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def ids(self, words):
            return state.lookup("words", reserved=1, default=0).lookup(words)

    module = Module()
    np.testing.assert_array_equal(module.ids(tf.constant(["a\nb", "?"])), [2, 0])
    module.tables = state.resources()
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.ids(tf.constant(["a\nb", "?"])), [2, 0])


def test_empty_vocabulary_knows_nothing():
    table = State(FEATURES, {"words": ()}).lookup("words", default=7)
    np.testing.assert_array_equal(table.lookup(tf.constant(["a"])), [7])


def test_layers_are_made_once():
    state = _state()
    first = state.layer("scale", lambda: tf.Module("scale"))
    assert state.layer("scale", lambda: tf.Module("other")) is first
    assert state.resources() == [first]


def test_unknown_names_list_the_nearest():
    with pytest.raises(KeyError, match="called 'word'. Known: words"):
        _state()["word"]


def test_lookup_of_moments_is_refused():
    with pytest.raises(TypeError, match="needs a Vocabulary. Received: 'size', which is dict"):
        _state().lookup("size")


def test_a_name_cannot_leave_the_directory(tmp_path):
    with pytest.raises(ValueError, match="Received: '../x'"):
        State(FEATURES, {"../x": ("a",)}).save(tmp_path)


def test_another_format_is_refused(tmp_path):
    (tmp_path / "state.json").write_text('{"format_version": 2}')
    with pytest.raises(ValueError, match="format_version 1. Received: 2"):
        State.load(tmp_path)


def test_files_written_before_subwords_still_load(tmp_path):
    (tmp_path / "words.txt").write_text("b\na\\nb\n")
    (tmp_path / "state.json").write_text(
        '{"format_version": 1, "features": {"text": {"kind": "text"}}, "results": '
        '{"words": {"vocabulary": "words.txt", "size": 2}, "size": {"value": {"min": 1, "max": 2}}}}'
    )
    state = State.load(tmp_path)
    assert (state["words"], state["size"]) == (("b", "a\nb"), {"min": 1, "max": 2})
    assert state.features == {"text": Text()}
