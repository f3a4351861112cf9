"""Whatever the partition and the order: the same statistics, or within what they state."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.pipelines.features import Boxes, Image, Label, Mask, Number, Sequence, Text
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.split_statistics import SplitStatistics
from penstock.pipelines.statistics.statistics_files import custom_stat

CHEAP = settings(max_examples=20, deadline=None, derandomize=True, database=None)

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.floats(width=32)
INTEGERS = st.one_of(st.integers(-5, 5), st.integers(-(2**63) + 1, 2**63 - 1))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
IDS = st.integers(0, 2)
FRACTIONS = st.floats(0, 1, width=32)
IMAGES = [encode_png(np.full((height, 3), height * 40, np.uint8)) for height in range(1, 5)]
MASKS = [encode_png(np.arange(6, dtype=np.uint8).reshape(shape)) for shape in ((2, 3), (6, 1))]


@st.composite
def boxes(draw):
    corners = [sorted(draw(st.lists(FRACTIONS, min_size=2, max_size=2))) for _ in range(2)]
    return [corners[0][0], corners[1][0], corners[0][1], corners[1][1]]


KINDS = {
    "float": (Number(), FLOATS),
    "integer": (Number(dtype="int64"), INTEGERS),
    "array": (Number(shape=(2,)), st.lists(FLOATS, min_size=2, max_size=2)),
    "label": (Label(names=("a", "b", "c")), IDS),
    "text": (Text(), TEXTS),
    "texts": (Sequence(of=Text()), st.lists(TEXTS, max_size=3)),
    "labels": (Sequence(of=Label(names=("a", "b", "c"))), st.lists(IDS, max_size=3)),
    "floats": (Sequence(of=Number()), st.lists(FLOATS, max_size=3)),
    "boxes": (Boxes(), st.lists(boxes(), max_size=3)),
    "image": (Image(), st.sampled_from([*IMAGES, b"\x89PNG broken"])),
    "mask": (Mask(names=("a", "b"), ignore=5), st.sampled_from([*MASKS, *IMAGES])),
}


def merged_at_random(seed, make, values):
    """Adds the values in random order, parts and batches; merges the parts as a random tree."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(values))
    parts = []
    for places in np.split(order, np.sort(rng.integers(0, len(values), rng.integers(0, 5)))):
        part = make()
        for batch in np.array_split(places, rng.integers(1, 4)):
            if len(batch):
                part.add([values[place] for place in batch])
        parts.append(part)
    while len(parts) > 1:
        left, right = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        # As Beam sends it to another process.
        left.merge(pickle.loads(pickle.dumps(right)))
        parts.append(left)
    return parts[0]


def serialised(statistics):
    protos = statistics.protos("x", 100)
    return [proto.SerializeToString(deterministic=True) for proto in protos]


@pytest.mark.parametrize("kind", KINDS)
@CHEAP
@given(data=st.data(), seed=SEEDS)
def test_few_values_give_equal_bytes_in_any_order(kind, data, seed):
    feature, values = KINDS[kind]
    values = data.draw(st.lists(values, min_size=1, max_size=12))
    at_once = for_feature(feature)
    at_once.add(values)
    merged = merged_at_random(seed, lambda: for_feature(feature), values)
    assert serialised(merged) == serialised(at_once)


ROWS = st.fixed_dictionaries(
    {"c": st.lists(st.sampled_from("pqr"), max_size=3)}, optional={"x": FLOATS, "y": TEXTS}
)


@CHEAP
@given(rows=st.lists(ROWS, min_size=1, max_size=10), seed=SEEDS)
def test_splits_with_slices_give_equal_protos_in_any_order(rows, seed):
    features = {"x": Number(optional=True), "y": Text(optional=True), "c": Sequence(of=Text())}

    def make():
        return SplitStatistics(features, ("c",))

    at_once = make()
    at_once.add(rows)
    merged = merged_at_random(seed, make, rows)
    # As bytes: NaN is unequal to itself.
    found, expected = (
        [d.SerializeToString(deterministic=True) for d in (s.proto("t"), *s.slice_protos("t"))]
        for s in (merged, at_once)
    )
    assert found == expected
    for dataset in at_once.slice_protos("t"):
        value = dataset.name.removeprefix("t: c=")
        assert dataset.num_examples == sum(value in row["c"] for row in rows)


@CHEAP
@given(seed=SEEDS, spread=st.sampled_from([3, 100, 10_000, 2**40]))
def test_many_numbers_keep_the_stated_errors_in_any_order(seed, spread):
    values = np.random.default_rng(seed).integers(-spread, spread, 3000).tolist()
    statistics = merged_at_random(seed, lambda: for_feature(Number(dtype="int64")), values)
    (proto,) = statistics.protos("x", 3000)
    stats, expected = proto.num_stats, np.array(values, np.float64)
    assert stats.common_stats.num_non_missing == 3000
    assert stats.num_zeros == np.count_nonzero(expected == 0)
    assert (stats.min, stats.max) == (expected.min(), expected.max())
    assert stats.mean == pytest.approx(expected.mean(), rel=1e-12)
    assert stats.std_dev == pytest.approx(expected.std(), rel=1e-12)
    unique = custom_stat(proto, "unique").num
    stated = custom_stat(proto, "unique_relative_error")
    assert (stated is None) == (len(set(values)) <= 1024)
    # Two standard errors are stated; three, so that chance does not fail the test.
    assert unique == pytest.approx(len(set(values)), rel=1.5 * stated.num if stated else 0)
    stated = custom_stat(proto, "quantiles_rank_error")
    assert (stated is None) == (len(set(values)) <= 1024)
    error = 2 * stated.num if stated else 0
    for percent, bucket in enumerate(stats.histograms[1].buckets, 1):
        assert (expected < bucket.high_value).mean() <= percent / 100 + error
        assert (expected <= bucket.high_value).mean() >= percent / 100 - error


@settings(CHEAP, max_examples=5)
@given(seed=SEEDS, distinct=st.sampled_from([4000, 4096, 4097, 9000]))
def test_many_strings_keep_the_stated_errors_in_any_order(seed, distinct):
    counts = {f"s{rank}": 1 + 3000 // rank for rank in range(1, distinct + 1)}
    values = [value for value, count in counts.items() for _ in range(count)]
    statistics = merged_at_random(seed, lambda: for_feature(Text()), values)
    proto = statistics.protos("x", len(values))[0]
    stats, stated = proto.string_stats, custom_stat(proto, "top_values_error")
    assert stats.common_stats.num_non_missing == len(values)
    assert stats.avg_length == pytest.approx(np.mean([len(value) for value in values]))
    assert (stated is None) == (distinct <= 4096)
    if stated is None:
        assert stats.unique == distinct
    else:
        error = custom_stat(proto, "unique_relative_error").num
        assert stats.unique == pytest.approx(distinct, rel=1.5 * error)
    error = stated.num if stated else 0
    assert error <= 3.5 / 2**13 * len(values)
    assert {f"s{rank}" for rank in range(1, 11)} <= {v.value for v in stats.top_values}
    for value in stats.top_values:
        assert counts[value.value] <= value.frequency <= counts[value.value] + error
