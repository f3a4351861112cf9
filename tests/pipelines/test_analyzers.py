"""Accumulators against independent computation, merged in any order; what an analyzer refuses."""

import json
import math
import pickle
from collections import Counter
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from penstock.pipelines.features import MISSING_INT64, Label, Number, Sequence, Text
from penstock.pipelines.transform import analyzer_accumulators, sorted_numbers, spilled_counts
from penstock.pipelines.transform.analyzer_accumulators import accumulator
from penstock.pipelines.transform.analyzer_values import values_function
from penstock.pipelines.transform.analyzers import (
    ChannelMoments,
    Lengths,
    MinMax,
    Moments,
    Quantiles,
    SubwordVocabulary,
    ValueCounts,
    Vocabulary,
)
from penstock.pipelines.transform.mutual_information import mutual_information

STRINGS = st.sampled_from([b"", b"a", b"b", b"a\0", b"a\0\1", b"\xff", b"ab", b"aa", b"x" * 40])
FLOATS = st.floats(width=32, allow_nan=True)
INTEGERS = st.sampled_from([MISSING_INT64, -3, 0, 1, 2, 2**40])


def arrays(elements, dtype, columns=()):
    """Arrays [n, *columns] with n from 0 to 12."""
    size = math.prod(columns)
    return st.integers(0, 12).flatmap(
        lambda n: st.lists(elements, min_size=n * size, max_size=n * size).map(
            lambda values: np.array(values, dtype).reshape(n, *columns)
        )
    )


@st.composite
def labelled(draw):
    labels = draw(arrays(st.integers(-1, 2), np.int64))
    rows = st.lists(st.integers(0, max(len(labels) - 1, 0)), max_size=15 if len(labels) else 0)
    rows = np.array(draw(rows), np.int64)
    strings = draw(st.lists(STRINGS, min_size=len(rows), max_size=len(rows)))
    return {"strings": np.array(strings, object), "rows": rows, "labels": labels}


def identity(batch):
    return batch


CASES = {
    "vocabulary": (Vocabulary(identity), arrays(STRINGS, object)),
    "top": (Vocabulary(identity, top_k=2, min_count=2), arrays(STRINGS, object)),
    "labelled": (Vocabulary(identity, labels=identity), labelled()),
    "counts": (ValueCounts(identity), arrays(INTEGERS, np.int64)),
    "moments": (Moments(identity), arrays(FLOATS, np.float32)),
    "columns": (Moments(identity, False), arrays(FLOATS, np.float32, (2, 3))),
    "range": (MinMax(identity), arrays(INTEGERS, np.int64)),
    "ranges": (MinMax(identity, False), arrays(FLOATS, np.float32, (2,))),
    "quantiles": (Quantiles(identity, (0, 0.1, 0.5, 1)), arrays(FLOATS, np.float32)),
    "lengths": (Lengths(identity), arrays(st.integers(0, 5000), np.int64)),
    "channels": (ChannelMoments(identity), arrays(st.integers(0, 255), np.uint8, (3,))),
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return str(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """So that a few values are spilled to disk and runs are merged."""
    with (
        mock.patch.object(spilled_counts, "HELD_STRINGS", 3),
        mock.patch.object(spilled_counts, "MERGED_RUNS", 3),
        mock.patch.object(sorted_numbers, "HELD_NUMBERS", 8),
    ):
        yield


def found(analyzer, batches, scratch):
    whole = accumulator(analyzer, scratch)
    for batch in batches:
        whole.add(batch)
    return whole.result(analyzer)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), random=st.randoms(use_true_random=False))
def test_any_partition_in_any_order_gives_the_same(case, data, random, scratch):
    analyzer, batches = CASES[case]
    batches = [data.draw(batches), *data.draw(st.lists(batches, max_size=5))]
    if isinstance(analyzer, Lengths) and not sum(map(len, batches)):
        return
    expected = found(analyzer, batches, scratch)
    parts = [accumulator(analyzer, scratch) for _ in range(random.randint(1, 4))]
    for batch in random.sample(batches, len(batches)):
        random.choice(parts).add(batch)
    while len(parts) > 1:
        random.shuffle(parts)
        # Beam moves accumulators between processes.
        parts[0].merge(pickle.loads(pickle.dumps(parts.pop())))
    assert json.dumps(parts[0].result(analyzer)) == json.dumps(expected)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(arrays(STRINGS, object), max_size=6))
def test_vocabulary_is_what_counter_counts(batches, scratch):
    counts = Counter(value for batch in batches for value in batch)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    ranked = [value.decode("utf-8", "surrogateescape") for value in ranked if counts[value] >= 2]
    assert found(Vocabulary(identity, 4, 2), batches, scratch) == tuple(ranked[:4])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(arrays(FLOATS, np.float32), min_size=1, max_size=6))
def test_quantiles_are_those_of_the_sorted_numbers(batches, scratch):
    """By the definition: sorted, the number at position ceil(fraction * n), counted from 1."""
    numbers = np.sort(np.concatenate(batches))
    numbers = numbers[~np.isnan(numbers)].tolist()
    fractions = (0, 0.001, 0.25, 0.3, 0.5, 0.7, 1)
    result = found(Quantiles(identity, fractions), batches, scratch)
    assert result["count"] == len(numbers)
    if not numbers:
        assert result["values"] == [None] * 7
        return
    exact = [Fraction(str(fraction)) * len(numbers) for fraction in fractions]
    assert result["values"] == [numbers[max(math.ceil(place), 1) - 1] for place in exact]


def test_long_strings_are_spilled_too(tmp_path):
    """Three distinct strings are no more than the limit, but 150 bytes are."""
    counts = spilled_counts.SpilledCounts(str(tmp_path))
    with mock.patch.object(spilled_counts, "HELD_BYTES", 100):
        counts.add({b"x" * 50: 1, b"y" * 50: 2, b"z" * 50: 3})
        assert len(list(tmp_path.iterdir())) == 1
        counts.add({b"x" * 50: 4})
        assert len(list(tmp_path.iterdir())) == 1
    assert list(counts.items()) == [(b"x" * 50, 5), (b"y" * 50, 2), (b"z" * 50, 3)]


def test_quantiles_agree_with_numpy(scratch):
    numbers = np.random.default_rng(3).lognormal(0, 3, 5000) * np.array([1, -1] * 2500)
    result = found(Quantiles(identity, (0.1, 0.33, 0.5, 0.999)), np.split(numbers, 10), scratch)
    expected = np.quantile(numbers, result["fractions"], method="inverted_cdf")
    np.testing.assert_array_equal(result["values"], expected)


def test_moments_and_ranges_of_each_component(scratch):
    values = np.random.default_rng(1).normal(5, 2, (100, 2, 3)).astype(np.float32)
    values[::7, 1, 2] = np.nan
    batches = np.split(values, 4)
    moments = found(Moments(identity, False), batches, scratch)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(moments["mean"], np.nanmean(exact, 0), rtol=1e-12)
    np.testing.assert_allclose(moments["variance"], np.nanvar(exact, 0), rtol=1e-9)
    np.testing.assert_array_equal(moments["count"], (~np.isnan(values)).sum(0))
    ranges = found(MinMax(identity, False), batches, scratch)
    np.testing.assert_array_equal(ranges["min"], np.nanmin(exact, 0))
    np.testing.assert_array_equal(ranges["max"], np.nanmax(exact, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_moments_of_each_channel(dtype, scratch):
    values = np.random.default_rng(4).integers(0, 256, (500, 3)).astype(dtype)
    result = found(ChannelMoments(identity), np.split(values, 5), scratch)
    np.testing.assert_allclose(result["mean"], values.mean(0, np.float64), rtol=1e-14)
    np.testing.assert_allclose(result["variance"], values.var(0, np.float64), rtol=1e-12)
    assert result["count"] == [500, 500, 500]


def test_missing_integers_are_left_out(scratch):
    values = np.array([3, MISSING_INT64, 5], np.int64)
    assert found(MinMax(identity), [values], scratch) == {"min": 3, "max": 5}
    assert found(Moments(identity), [values], scratch)["mean"] == 4
    assert found(Quantiles(identity, (0,)), [values], scratch)["values"] == [3]


def test_lengths_have_percentiles_and_a_histogram(scratch):
    lengths = np.random.default_rng(2).poisson(20, 1000)
    result = found(Lengths(identity), np.split(lengths, 10), scratch)
    assert (result["count"], result["min"], result["max"]) == (1000, min(lengths), max(lengths))
    assert result["mean"] == pytest.approx(lengths.mean(), rel=1e-12)
    percents = [float(percent) for percent in result["percentiles"]]
    assert percents == [50, 90, 95, 99, 99.9]
    expected = np.sort(lengths)[[499, 899, 949, 989, 998]]
    np.testing.assert_array_equal(list(result["percentiles"].values()), expected)
    assert result["histogram"] == {"bin_width": 1, "counts": np.bincount(lengths).tolist()}


def test_long_lengths_share_bins(scratch):
    """The longest, 2500, needs bins of 2500 // 1024 + 1 = 3: 834 of them, 0-2, 3-5, ..., 2499-2501."""
    histogram = found(Lengths(identity), [np.array([0, 2, 3, 2500])], scratch)["histogram"]
    assert (histogram["bin_width"], len(histogram["counts"])) == (3, 834)
    assert [i for i, count in enumerate(histogram["counts"]) for _ in range(count)] == [
        0,
        0,
        1,
        833,
    ]


@pytest.mark.parametrize("present", [{0: 5}, {0: 2, 2: 7}, {0: 10, 1: 4, 2: 9}, {}])
def test_mutual_information_is_scikit_learns(present):
    examples = {0: 10, 1: 4, 2: 9}
    occurs, labels = [], []
    for label, count in examples.items():
        here = present.get(label, 0)
        occurs += [1] * here + [0] * (count - here)
        labels += [label] * count
    expected = mutual_info_score(labels, occurs) / math.log(2)
    assert mutual_information(present, examples) == pytest.approx(expected, abs=1e-12)


def test_labels_rank_strings_by_what_they_tell(scratch):
    """Of 8 examples, "good" is in 4 of class 1 (1 bit), "film" in all (0 bits), "rare" in one."""
    texts = [b"good film good"] * 4 + [b"film"] * 3 + [b"film rare"]
    words = [(word, row) for row, text in enumerate(texts) for word in text.split()]
    batch = {
        "strings": np.array([word for word, _ in words], object),
        "rows": np.array([row for _, row in words]),
        "labels": np.array([1] * 4 + [0] * 4),
    }
    analyzer = Vocabulary(identity, labels=identity)
    assert found(analyzer, [batch], scratch) == ("good", "rare", "film")
    # "good" occurs 8 times, but in 4 examples.
    assert found(Vocabulary(identity, None, 5, identity), [batch], scratch) == ("film",)


def test_too_many_values_are_refused(scratch):
    values = np.arange(20)
    with (
        mock.patch.object(analyzer_accumulators, "MAX_VALUES", 19),
        mock.patch.object(analyzer_accumulators, "MAX_VOCABULARY", 19),
    ):
        with pytest.raises(ValueError, match="at most 19 distinct ones. Received: more"):
            found(ValueCounts(identity), [values[:15], values[10:]], scratch)
        with pytest.raises(ValueError, match="at most 19 distinct strings.*Set `top_k`"):
            found(Vocabulary(identity), [values.astype("S2").astype(object)], scratch)
        assert len(found(ValueCounts(identity), [values[:19]], scratch)) == 19


SOURCE = {
    "text": Text(),
    "label": Label(names=("a", "b")),
    "size": Number(shape=(2,)),
    "words": Sequence(of=Text()),
}
BATCH = {
    "text": tf.constant(["a b", "", "\u00e4 a"]),
    "label": tf.constant([1, -1, 0], tf.int64),
    "size": tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "words": tf.ragged.constant([["x", "y"], [], ["x"]], row_splits_dtype=tf.int64),
}


def test_values_of_a_batch():
    """By hand from BATCH: lengths in characters, rows of the strings, pixels as rows of channels."""
    analyzers = {
        "words": Vocabulary(lambda f: f["words"]),
        "telling": Vocabulary(lambda f: f["words"], labels=lambda f: f["label"]),
        "column": Vocabulary(lambda f: f["text"], labels=lambda f: f["label"]),
        "pieces": SubwordVocabulary(lambda f: tf.concat([f["text"], f["words"].values], 0), 300),
        "all": Moments(lambda f: f["size"]),
        "each": MinMax(lambda f: f["size"], reduce_instance_dims=False),
        "characters": Lengths(lambda f: f["text"]),
        "rows": Lengths(lambda f: f["words"]),
        "channels": ChannelMoments(lambda f: f["size"][:, tf.newaxis, tf.newaxis]),
    }
    values = values_function(analyzers, SOURCE)(BATCH)
    assert values["words"].numpy().tolist() == [b"x", b"y", b"x"]
    assert values["telling"]["rows"].numpy().tolist() == [0, 0, 2]
    assert values["column"]["rows"].numpy().tolist() == [0, 1, 2]
    assert values["column"]["labels"].numpy().tolist() == [1, -1, 0]
    pieces = values["pieces"].numpy().tolist()
    assert pieces == [b"a", b" b", "\u00e4".encode(), b" a", b"x", b"y", b"x"]
    assert values["all"].numpy().tolist() == [1, 2, 3, 4, 5, 6]
    assert values["each"].shape == (3, 2)
    assert values["characters"].numpy().tolist() == [3, 0, 3]
    assert values["rows"].numpy().tolist() == [2, 0, 1]
    assert values["channels"].numpy().tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("analyzer", "error", "message"),
    [
        (Vocabulary(lambda f: f["size"]), TypeError, r"`x` \(Vocabulary\) needs strings.*float32"),
        (Moments(lambda f: f["text"]), TypeError, r"`x` \(Moments\) needs numbers.*string"),
        (ValueCounts(lambda f: f["size"]), TypeError, "needs integers or strings.*float32"),
        (SubwordVocabulary(lambda f: f["label"], 300), TypeError, "needs texts.*int64"),
        (Lengths(lambda f: f["size"]), TypeError, "ragged tensor or strings.*all of one length"),
        (
            ChannelMoments(lambda f: f["label"]),
            ValueError,
            r"needs numbers \[batch, ..., channels\]",
        ),
        (
            Moments(lambda f: tf.strings.length(f["words"]), False),
            ValueError,
            "dense tensor of known shape behind the batch axis",
        ),
        (
            Vocabulary(lambda f: f["text"], labels=lambda f: f["size"]),
            ValueError,
            r"`labels` of `x` \(Vocabulary\) must give int64 \[batch\].*float32",
        ),
    ],
)
def test_unsuitable_values_are_explained(analyzer, error, message):
    with pytest.raises(error, match=message):
        values_function({"x": analyzer}, SOURCE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SubwordVocabulary(identity, 260), "must be above 260.*256 bytes. Received: 260"),
        (lambda: SubwordVocabulary(identity, 300, 0), "`min_count`.*at least 1. Received: 0"),
        (lambda: Vocabulary(identity, top_k=0), "`top_k` of a Vocabulary must be at least 1"),
        (lambda: Quantiles(identity, (0.5, 0.1)), r"increasing order. Received: \(0.5, 0.1\)"),
        (lambda: Quantiles(identity, (0.5, 1.1)), "numbers from 0 to 1"),
    ],
)
def test_unsuitable_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
