"""Summarization: a document to a short text that says what is in it.

`task.py` is the task, of which all but the evaluation is that of `penstock/models/sequence_to_sequence/`;
`evaluation.py` measures by ROUGE, `extracts.py` makes the summaries that cost nothing (the first
sentences, any sentence) with which it is compared. Begin with `task.py`.
"""
