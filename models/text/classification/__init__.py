"""Text classification: one label for each text (sentiment, topic, language, spam).

`data.py` makes token ids of a string, `networks.py` are the networks trained from scratch
(`transformer.py` and `preset.py` those that KerasHub has), `layers.py` what they share,
`embeddings.py` reads word vectors, `word_piece.py` applies a preset's vocabulary, and
`contributions.py` says which words an answer rests on. Begin with `task.py`.
"""
