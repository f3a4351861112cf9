"""Image classification: one label for each image.

Joins preparation (`data.py`), augmentation and networks; loss, answer and evaluation are those of
every classifier (`models/classification/`). A request carries one encoded image for each example.
"""

from penstock.models.classification.classifier import Classifier
from penstock.models.vision.classification import networks
from penstock.models.vision.classification.augmentation import Augmentation
from penstock.models.vision.classification.data import Data


class Task(Classifier, Data):
    """Image classification; `self.config` is a `config.Config`."""

    def __init__(self, config):
        super().__init__(config)
        self._augmentation = Augmentation(config.augment)

    def augment(self, inputs, targets, seed, state):
        """uint8 images, int64 [batch] -> uint8 images, ids or (mixed) float32 [batch, classes]."""
        return self._augmentation(inputs, targets, seed, len(self.class_names(state)))

    def build(self, state):
        """uint8 [batch, height, width, channels] -> float32 logits [batch, classes]."""
        classes = len(self.class_names(state))
        return networks.build(self.config.model, self.image_shape(state), classes)

    def initial_weights(self):
        """`random`, or the preset of the backbone."""
        model = self.config.model
        return model.preset if model.type == "preset" and model.weights else "random"

    def save_parts(self, model, state, directory):
        """`preset`: the backbone, where the network has one, for `model: {type: preset}`."""
        del state
        networks.save_preset(model, directory / "preset")
