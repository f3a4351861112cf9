"""What every task that gives one label to each example shares; not a task itself.

`config.py` holds the sections (pydantic only), `labels.py` the label's part of the preparation,
`loss.py` and `evaluation.py` what is minimised and measured, and `classifier.py` the task, to which a
concrete one adds `augment` and `build`. Begin with `classifier.py`; `vision/classification/` is
the first user.
"""
