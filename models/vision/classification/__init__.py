"""Image classification: one label for each image.

Begin with `task.py`; `config.py` holds every setting with its default. The networks: `networks.py`
(plain ones, and the head of the others), `small_resnet.py` (for images of some 28 pixels),
`backbones.py` and `families.py` (KerasHub's, and presets).
"""
