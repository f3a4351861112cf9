"""From two texts to ids: see `penstock/models/sequence_to_sequence/data.py`, which translation shares."""

from penstock.models.sequence_to_sequence.data import TextPairs


class Data(TextPairs):
    """Preparation of translation; `self.prepare` is a `TextPairPrepare`."""
