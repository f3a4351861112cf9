"""Splits by hash: stable, near their fractions, own splits kept."""

from hashlib import blake2b

import pytest

from penstock.pipelines.ingest.splits import Splitter, key_hashes

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
KEYS = [f"record-{i}" for i in range(20_000)]


def split_of(splitter, key, own=None):
    return splitter.split_of(key_hashes(key)[0], own)


def test_hash_is_blake2b_of_the_key():
    digest = blake2b(b"a/1.png", digest_size=16).digest()
    expected = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"))
    assert key_hashes("a/1.png") == expected


@pytest.mark.parametrize(
    ("split_hash", "split"),
    [(0, "train"), (int(0.79 * 2**64), "train"), (int(0.81 * 2**64), "validation")]
    + [(int(0.91 * 2**64), "test"), (2**64 - 1, "test")],
)
def test_cumulative_fractions_in_order(split_hash, split):
    assert Splitter(SPLITS).split_of(split_hash, None) == split


def test_fractions_are_met():
    splitter = Splitter(SPLITS)
    found = [split_of(splitter, key) for key in KEYS]
    for split, fraction in SPLITS.items():
        # Standard error at most sqrt(0.16 / 20000) = 0.0028.
        assert found.count(split) / len(KEYS) == pytest.approx(fraction, abs=0.01)


def test_own_splits_are_kept_but_for_split_from():
    splitter = Splitter(SPLITS, split_from="train")
    assert {split_of(splitter, key, "test") for key in KEYS[:50]} == {"test"}
    assert {split_of(splitter, key, "train") for key in KEYS[:200]} == set(SPLITS)
    assert {split_of(Splitter(SPLITS), key, "train") for key in KEYS[:50]} == {"train"}


@pytest.mark.parametrize("own", ["a/b", "hold-out", "", 3])
def test_a_sources_split_name_is_checked(own):
    with pytest.raises(ValueError, match=f"begin with a letter or digit. Received: {own!r}"):
        Splitter(SPLITS).split_of(0, own)


def test_a_split_of_fraction_zero_stays_empty():
    splitter = Splitter({"train": 1.0, "test": 0.0})
    assert splitter.split_of(2**64 - 1, None) == "train"


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": 0.8, "test": 0.1}, "must add up to 1.*add up to 0.9"),
        ({"../train": 1.0}, "letters, digits or `_`.*Received: '../train'"),
        ({}, "add up to 0"),
    ],
    ids=["sum", "name", "none"],
)
def test_faults_are_named(splits, message):
    with pytest.raises(ValueError, match=message):
        Splitter(splits)
