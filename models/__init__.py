"""TASKS: what an application is: examples, preprocessing, Keras model, loss, metrics, signature.

Begin with `task.py` (the contract), then `vision/classification/` (a whole task). A task is a
folder: `config.py` (pydantic only), `data.py` (features and preparation), `networks.py` (Keras
models), `task.py` (joins them). `task: vision.classification` in a config names the folder; a
user's own task is a package of the same four files. What tasks of one kind share lies beside the
domains: `classification/` (one label for each example).
"""
