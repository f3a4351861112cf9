"""The base of every configuration model.

Comes in: one section of a YAML file, as JSON. Goes out: an immutable, strictly typed object.
Importing this module costs pydantic and nothing else, so that the command line can validate a
config without TensorFlow or Beam.
"""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A strict, immutable section of a configuration: unknown keys and wrong types are errors.

    Validate with `model_validate_json`: in JSON mode strict pydantic takes a list for a tuple and a
    string for a `Path`, and still refuses `"3"` for a number and `1` for a bool.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
