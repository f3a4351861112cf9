"""Translation: a text in one language to a text in another.

`task.py` is the task, of which all but the evaluation (`evaluation.py`: BLEU and chrF) is that of
`penstock/models/sequence_to_sequence/`; `data.py` and `config.py` say so. Begin with `task.py`.
"""
