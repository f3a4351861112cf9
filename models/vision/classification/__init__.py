"""Image classification: one label for each image.

Begin with `task.py`; `config.py` holds every setting with its default.
"""
