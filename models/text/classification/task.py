"""Text classification: one label for each text.

Joins preparation (`data.py`), networks and word vectors; loss, answer and evaluation are those of
every classifier. A request carries one text for each example; the answer names the likeliest class
and gives all probabilities.
"""

import logging

import tensorflow as tf

from penstock.models.classification.classifier import Classifier
from penstock.models.text.classification import embeddings, networks, preset
from penstock.models.text.classification.config import Preset
from penstock.models.text.classification.contributions import contributions
from penstock.models.text.classification.data import Data
from penstock.models.token_ids import padded

_LOG = logging.getLogger(__name__)
EXPLAINED_WORDS = 100
"""Of a text: each of them is a request more."""


class Task(Classifier, Data):
    """Text classification; `self.config` is a `config.Config`.

    Answers to unusual texts: the empty string, and blanks and control characters alone, are answered
    as one unknown word (with `tokens: characters` each of the latter is a blank, a character like
    others; a preset reads its special tokens alone); emoji are words like others; of a script that the
    training texts lack every word is unknown (no byte is, with subwords); of a long text the first
    `prepare.max_length` tokens are read. There is no text that gives an error.
    """

    def training_inputs(self, inputs, targets, state):
        """Padded to `max_length`, or by `train.buckets` to less."""
        del state
        return padded(inputs, self.prepare.max_length), targets

    def build(self, state):
        """int32 [batch, length] -> float32 logits [batch, classes]."""
        config, length = self.config.model, self.prepare.max_length
        classes = len(self.class_names(state))
        if isinstance(config, Preset):
            return preset.build(config, self.prepare.preset, length, classes)
        model = networks.build(config, self.num_ids(state), length, classes)
        if config.embeddings is not None:
            self._place_vectors(networks.embedding_layer(model), state)
        return model

    def initial_weights(self):
        """`random`, or the preset or the file of word vectors."""
        config = self.config.model
        if isinstance(config, Preset):
            return self.prepare.preset if config.weights else "random"
        return str(config.embeddings or "random")

    def decode(self, model, inputs, state):
        """See `Classifier.decode`; takes ragged ids as they are prepared, and padded ones."""
        return super().decode(model, padded(inputs), state)

    def explain(self, signatures, features, columns, state):
        """How much each of the first words of a text speaks for the answer: `contributions.py`."""
        del state
        name = self.prepare.text_feature

        def probabilities(texts):
            return signatures["serving_default"](**{name: tf.constant(texts)})[
                "probabilities"
            ].numpy()

        texts = [text.decode("utf-8", "replace") for text in features[name]]
        found = [
            contributions(probabilities, text, label_id, EXPLAINED_WORDS)
            for text, label_id in zip(texts, columns["predicted_id"].tolist(), strict=True)
        ]
        # Digits behind the sixth are those of float32 sums in another order.
        return [{name: [(w.start, w.end, round(w.drop, 6)) for w in words]} for words in found]

    def _place_vectors(self, layer, state):
        config = self.config.model
        words = ("", "", *state["words"])
        [initial] = layer.get_weights()
        vectors, known = embeddings.filled(initial, words, config.embeddings)
        layer.set_weights([vectors])
        layer.trainable = not config.freeze_embeddings
        wanted = len(state["words"])
        share = f"{known:,} of {wanted:,} words ({known / max(wanted, 1):.1%})"
        _LOG.info("%s has vectors of %s; the others begin at random.", config.embeddings, share)
