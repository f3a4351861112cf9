"""The network: a row of numbers -> logits."""

import keras
from keras import layers

from clinic.diagnosis.config import Model


def build(config: Model, num_columns: int, num_classes: int) -> keras.Model:
    """float32 [batch, columns] -> float32 [batch, classes]."""
    row = keras.Input((num_columns,), name="row")
    x = row
    for number, units in enumerate(config.hidden_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
        x = layers.Dropout(config.dropout, name=f"dropout_{number}")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(row, logits, name="diagnosis")
