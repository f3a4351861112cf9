"""What is measured of a classifier: columns of examples -> metrics. NumPy only.

Comes in: columns `label_id` and `predicted_id` (int64 [n]), `log_loss` and `label_rank`. Goes out:
a dict of floats. Resampling calls this a thousand times, so all counts come from one `bincount`.
"""

import numpy as np


def example_columns(label_id, probabilities, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What is known of each example.

    Args:
        label_id: int [n], the right class.
        probabilities: float32 [n, classes].
        names: the classes' names.

    Returns:
        label, predicted: names; label_id, predicted_id: int64; probability: of the predicted class;
        probability_of_label; log_loss: its negative natural logarithm, limited as scikit-learn does
        by the precision of float32; label_rank: int64, how many classes come before the label by
        probability, of equal ones those with a lower id, as for argmax and top_k; correct: bool.
    """
    label_id = np.asarray(label_id, np.int64)
    probabilities = np.asarray(probabilities, np.float32)
    predicted_id = probabilities.argmax(axis=1)
    of_label = np.take_along_axis(probabilities, label_id[:, None], axis=1)
    lower_id = np.arange(probabilities.shape[1]) < label_id[:, None]
    # Without ties, a network that says the same of all classes would be right in any top k.
    before = (probabilities > of_label) | ((probabilities == of_label) & lower_id)
    limit = np.finfo(np.float32).eps
    name = np.asarray(names, dtype=np.str_)
    return {
        "label": name[label_id],
        "predicted": name[predicted_id],
        "label_id": label_id,
        "predicted_id": predicted_id.astype(np.int64),
        "probability": probabilities.max(axis=1),
        "probability_of_label": of_label[:, 0],
        "log_loss": -np.log(of_label[:, 0].clip(limit, 1.0 - limit)),
        "label_rank": before.sum(axis=1),
        "correct": predicted_id == label_id,
    }


def confusion_matrix(columns, num_classes: int) -> np.ndarray:
    """int64 [classes, classes]: rows are labels, columns are predictions."""
    cells = columns["label_id"] * num_classes + columns["predicted_id"]
    counts = np.bincount(cells, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)


def summarise(columns, names: tuple[str, ...], top_k: int | None = None) -> dict[str, float]:
    """Metrics of a set of examples.

    Precision, recall and F1 of a class are 0 where scikit-learn's `zero_division=0` has them so. A
    class that is neither a label nor a prediction here is left out, of the macro mean too.

    Returns:
        accuracy, log_loss, macro_f1, top_<k>_accuracy with `top_k`, and precision/<name>,
        recall/<name>, f1/<name> for each class; empty for no examples.
    """
    if not len(columns["label_id"]):
        return {}
    counts = confusion_matrix(columns, len(names))
    right, labels, predictions = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    there = np.flatnonzero(labels + predictions)
    right, labels, predictions = right[there], labels[there], predictions[there]
    by_class = {
        "precision": right / np.maximum(predictions, 1),
        "recall": right / np.maximum(labels, 1),
        "f1": 2 * right / (labels + predictions),
    }
    metrics = {
        "accuracy": float(right.sum() / labels.sum()),
        "log_loss": float(columns["log_loss"].mean(dtype=np.float64)),
        "macro_f1": float(by_class["f1"].mean()),
    }
    if top_k is not None:
        metrics[f"top_{top_k}_accuracy"] = float((columns["label_rank"] < top_k).mean())
    for metric, values in by_class.items():
        found = zip(there.tolist(), values.tolist(), strict=True)
        metrics.update({f"{metric}/{names[label]}": value for label, value in found})
    return metrics
