"""An accumulator of the statistics of one feature, for each kind of feature; and all derived names.

`for_feature` chooses it. All are `accumulator.Accumulator`s: `add`, `merge` in any order, `protos`,
which gives TFDV's `FeatureNameStatistics` of the feature and of these features derived from it:

| kind              | derived                  | type   | what it is                                     |
|-------------------|--------------------------|--------|------------------------------------------------|
| Text, and         | `<name>/characters`      | INT    | length in Unicode code points                  |
| Sequence of Text  | `<name>/words`           | INT    | words between white space                      |
| Sequence          | `<name>/length`          | INT    | entries in an example                          |
| Boxes             | `<name>/length`          | INT    | boxes in an example                            |
|                   | `<name>/area_fraction`   | FLOAT  | of the image's area                            |
|                   | `<name>/width_fraction`  | FLOAT  | of the image's width                           |
|                   | `<name>/height_fraction` | FLOAT  | of the image's height                          |
|                   | `<name>/aspect_ratio`    | FLOAT  | width/height fraction; no boxes of zero area   |
| Image             | `<name>/height`, `width` | INT    | pixels                                         |
|                   | `<name>/channels`        | INT    | as encoded                                     |
|                   | `<name>/brightness`      | FLOAT  | mean of the pixels, 0 black to 1 white         |
|                   | `<name>/contrast`        | FLOAT  | standard deviation of the pixels, 0 to 1       |
|                   | `<name>/format`          | STRING | png, jpeg, other                               |
| Mask              | `<name>/height`, `width` | INT    | pixels                                         |
|                   | `<name>/classes`         | INT    | different classes in a mask                    |
|                   | `<name>/ignored_fraction`| FLOAT  | share of pixels without a class                |
|                   | `<name>/class`           | STRING | a label of every pixel: class balance          |
| Audio             | `<name>/seconds`         | FLOAT  | duration                                       |
|                   | `<name>/sample_rate_hz`  | INT    |                                                |
|                   | `<name>/channels`        | INT    |                                                |
|                   | `<name>/level_dbfs`      | FLOAT  | root mean square over full scale, dB           |
|                   | `<name>/peak`            | FLOAT  | largest magnitude over full scale, 0 to 1      |
|                   | `<name>/clipped_fraction`| FLOAT  | share of samples at full scale                 |
|                   | `<name>/silent_fraction` | FLOAT  | share of windows below -60 dBFS                |

Labels (marked by the custom statistic `num_classes`) and numbers have none. What else is in
`custom_stats` is listed in `statistics_files.py`.
"""

from penstock.pipelines.features import Audio, Boxes, Feature, Image, Label, Mask, Number, Text
from penstock.pipelines.statistics.accumulator import Accumulator
from penstock.pipelines.statistics.media_statistics import (
    AudioStatistics,
    ImageStatistics,
    MaskStatistics,
)
from penstock.pipelines.statistics.sequence_statistics import BoxesStatistics, SequenceStatistics
from penstock.pipelines.statistics.value_statistics import (
    LabelStatistics,
    NumberStatistics,
    TextStatistics,
)


def for_feature(feature: Feature) -> Accumulator:
    """A new accumulator for a feature of any kind."""
    if isinstance(feature, Number):
        return NumberStatistics(feature.dtype == "int64")
    if isinstance(feature, Label):
        return LabelStatistics(feature.names)
    if isinstance(feature, Mask):
        return MaskStatistics(feature)
    makers = {Text: TextStatistics, Image: ImageStatistics, Audio: AudioStatistics}
    makers |= {Boxes: BoxesStatistics}
    return makers[type(feature)]() if type(feature) in makers else SequenceStatistics(feature)
