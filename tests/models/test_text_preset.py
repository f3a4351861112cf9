"""A small BERT, saved as a preset: its tokens as KerasHub has them, its network with a new head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.text.classification.config import Config
from penstock.models.text.classification.task import Task
from penstock.models.text.classification.word_piece import Rules, WordPiece
from penstock.models.token_ids import padded
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick", "brown", "##er", "un"]
PIECES += [
    "##aff",
    "##able",
    "u",
    "##n",
    "!",
    "'",
    "café",
    "cafe",
    "strasse",
    "猫",
    "a",
    "...",
    "of",
]
TEXTS = [
    "The QUICK browner unaffable  quicker!",
    "unaffablex the the'the",
    "",
    "Café café\tSTRASSE Straße",
    "猫の the…",
    "a" * 101 + " the",
    "\x00the\u200b the\u00a0quick",
    "unun un",
]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    keras_hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(0)
    directory = tmp_path_factory.mktemp("preset")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(PIECES),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=8,
        max_sequence_length=16,
    )
    backbone.save_to_preset(str(directory))
    keras_hub.models.BertTokenizer(PIECES, lowercase=True).save_to_preset(str(directory))
    return directory, backbone


def task(directory, **model):
    prepare = {"tokens": "preset", "preset": str(directory), "max_length": 8}
    return Task(Config.model_validate({"prepare": prepare, "model": {"type": "preset", **model}}))


@pytest.fixture
def state():
    return State({"text": Text(), "label": Label(names=("a", "b", "c"))})


@pytest.mark.parametrize("strip_accents", [True, False], ids=["stripped", "accents"])
@pytest.mark.parametrize("lowercase", [True, False], ids=["lower", "cased"])
def test_pieces_are_those_of_kerashub(lowercase, strip_accents):
    keras_hub = pytest.importorskip("keras_hub")
    options = {"lowercase": lowercase, "strip_accents": strip_accents}
    theirs = keras_hub.tokenizers.WordPieceTokenizer(PIECES, **options)
    ours = WordPiece(PIECES, Rules(**options)).tokenize(np.array(TEXTS))
    for text, ids in zip(TEXTS, ours.to_list(), strict=True):
        assert ids == np.asarray(theirs(text)).tolist(), text


def test_ids_have_the_special_tokens_around_them(preset, state):
    """[CLS] is 2, [SEP] 3; of a text 6 pieces are read."""
    ids = task(preset[0]).prepare_inputs({"text": np.array(["the un", "", "a " * 9])}, state)
    assert ids.to_list() == [[2, 5, 9, 3], [2, 3], [2, *[20] * 6, 3]]


def test_the_network_begins_with_the_presets_weights(preset, state):
    directory, backbone = preset
    built = task(directory).build(state)
    ids = np.array([[2, 5, 6, 3, 0, 0]])
    fed = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids != 0}
    kernel, bias = built.get_layer("logits").get_weights()
    expected = backbone(fed)["pooled_output"].numpy() @ kernel + bias
    np.testing.assert_allclose(built(ids).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(built(ids[:, :4]).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_rates_of_layers_find_the_backbone(preset, state):
    built = task(preset[0]).build(state)
    paths = [variable.path for variable in built.trainable_variables]
    assert len(paths) == len(preset[1].trainable_variables) + 2
    assert {path.split("/")[0] for path in paths} == {"backbone", "logits"}


def test_a_frozen_network_trains_its_head_alone(preset, state):
    built = task(preset[0], freeze=True).build(state)
    assert [weight.path for weight in built.trainable_weights] == ["logits/kernel", "logits/bias"]


def test_without_weights_the_network_is_random(preset, state):
    random = task(preset[0], weights=False)
    assert random.initial_weights() == "random"
    assert task(preset[0]).initial_weights() == str(preset[0])
    first = random.build(state).get_weights()[0]
    assert not np.allclose(first, preset[1].get_weights()[0])


def test_longer_texts_than_the_preset_reads_are_refused(preset, state):
    config = task(preset[0]).config
    prepare = config.prepare.model_copy(update={"max_length": 17})
    longer = Task(config.model_copy(update={"prepare": prepare}))
    with pytest.raises(ValueError, match=r"positions of the preset \(16\). Received: 17"):
        longer.build(state)


def test_a_missing_preset_shows_before_the_run(preset, tmp_path):
    [fault] = task(tmp_path / "absent").config.check()
    assert "`prepare.preset` must be the directory of a KerasHub preset" in fault
    config = task(preset[0]).config
    assert config.check() == []
    assert {"config.json", "tokenizer.json"} <= {path.name for path in config.files()}


def test_a_preset_without_a_tokenizer_shows_too(preset, tmp_path, state):
    preset[1].save_to_preset(str(tmp_path))
    [fault] = task(tmp_path).config.check()
    assert "`prepare.preset` must hold a tokenizer" in fault
    with pytest.raises(ValueError, match="must hold a tokenizer.*`tokenizer.json` doesn't exist"):
        task(tmp_path).prepare_inputs({"text": np.array(["the"])}, state)


def test_a_saved_model_needs_tensorflow_alone(preset, state, tmp_path):
    """What it is made of are ops of TensorFlow's own; it gives the ids that eager code gives."""
    ours = task(preset[0])
    eager = padded(ours.prepare_inputs({"text": np.array(TEXTS)}, state))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def ids(text):
        return {"ids": padded(ours.prepare_inputs({"text": text}, state))}

    module = tf.Module()
    module.resources = state.resources()
    tf.saved_model.save(module, str(tmp_path), {"serving_default": ids})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    np.testing.assert_array_equal(served(text=tf.constant(TEXTS))["ids"], eager)
    ops = {operation.type for operation in served.graph.get_operations()}
    assert not {name for name in ops if "Wordpiece" in name or "Normalize" in name}


def test_another_kind_of_tokenizer_is_refused(tmp_path, state):
    keras_hub = pytest.importorskip("keras_hub")
    sizes = dict.fromkeys(("num_layers", "num_heads", "hidden_dim", "intermediate_dim"), 1)
    backbone = keras_hub.models.GPT2Backbone(vocabulary_size=4, max_sequence_length=4, **sizes)
    backbone.save_to_preset(str(tmp_path))
    vocabulary = {"<|endoftext|>": 0, "t": 1, "h": 2, "th": 3}
    keras_hub.models.GPT2Tokenizer(vocabulary, ["t h"]).save_to_preset(str(tmp_path))
    with pytest.raises(ValueError, match="must have a WordPiece tokenizer.* a GPT2Tokenizer"):
        task(tmp_path).prepare_inputs({"text": np.array(["th"])}, state)
