"""An accumulator of the statistics of one feature in one split, for each kind of feature.

`for_feature` chooses it. All have `add(values)`, `merge(other)` and `protos(name, examples)`, which
gives TFDV's `FeatureNameStatistics`, and merge to the same result in any order.
"""

from penstock.pipelines.features import Audio, Feature, Image, Label, Mask, Number, Text
from penstock.pipelines.media_statistics import BytesStatistics, ImageStatistics
from penstock.pipelines.value_statistics import LabelStatistics, NumberStatistics, TextStatistics


def for_feature(feature: Feature):
    """A new accumulator for a feature of any kind."""
    if isinstance(feature, Number):
        return NumberStatistics(feature.dtype == "int64")
    if isinstance(feature, Label):
        return LabelStatistics(feature.names)
    makers = {Text: TextStatistics, Image: ImageStatistics, Audio: BytesStatistics}
    makers |= {Mask: ImageStatistics}
    return makers[type(feature)]()
