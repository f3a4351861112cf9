"""What the worst answers rest on, as the task explains it.

Comes in: an evaluation's columns, the SavedModel, the examples. Goes out: key -> what `task.explain`
says of this example, as JSON, for the examples that the report shows as the worst (`worst.py`).
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from penstock.models.task import Task
from penstock.tfx.evaluation import predictions, worst


def of_worst(
    model: Path, data: Path, columns: dict[str, np.ndarray], *, split, batch_size, task, state
) -> dict[str, dict]:
    """Asks the task; empty, and without reading anything, where it explains nothing.

    Args:
        model: directory of the Model artifact.
        data: directory of the Examples artifact.
        columns: as `predictions.columns_of` has made them of this split.
    """
    if type(task).explain is Task.explain:
        return {}
    keys = {row["key"] for row in worst.find(predictions.rows_of(columns)).rows}
    places = [place for place, key in enumerate(columns["key"].tolist()) if key in keys]
    if not places:
        return {}
    names = task.input_features(state.features)
    features = predictions.features_at(places, data, split, batch_size, names)
    chosen = {name: column[places] for name, column in columns.items()}
    loaded = tf.saved_model.load(str(model / "saved_model"))
    said = task.explain(loaded.signatures, features, chosen, state)
    return {key: entry for key, entry in zip(chosen["key"].tolist(), said, strict=True) if entry}
