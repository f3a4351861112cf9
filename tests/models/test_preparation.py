"""The feature that a setting names."""

import re

import pytest

from penstock.models.preparation import feature_of_kind
from penstock.pipelines.features import Image, Number, Text

SOURCE = {"photo": Image(), "title": Text(), "age": Number(), "review": Text()}


def test_a_feature_of_the_kind_is_found():
    assert feature_of_kind(SOURCE, "photo", Image, "prepare.image_feature") is SOURCE["photo"]
    assert feature_of_kind(SOURCE, "age", (Text, Number), "prepare.column") is SOURCE["age"]


@pytest.mark.parametrize(
    ("name", "kinds", "message"),
    [
        (
            "photo",
            Text,
            "`prepare.x` must name a feature of kind text of the source. Received: `photo` of kind "
            "image. Features of that kind: title, review.",
        ),
        (
            "years",
            (Text, Number),
            "`prepare.x` must name a feature of kind text or number of the source. Received: no "
            "feature `years`. Features of that kind: title, age, review.",
        ),
    ],
    ids=["wrong_kind", "missing"],
)
def test_a_fault_names_the_features_that_would_do(name, kinds, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        feature_of_kind(SOURCE, name, kinds, "prepare.x")
    with pytest.raises(ValueError, match="Features of that kind: none."):
        feature_of_kind({}, name, kinds, "prepare.x")
