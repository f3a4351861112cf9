"""Statistics of real tables against pandas and numpy, column by column.

Numbers are as they are stored: float32. (Of latitudes of one city it moves the standard deviation
by 9e-6 and makes two of 236 values one; so the float64 column is compared by its mean alone.)
"""

import numpy as np
import pandas as pd
import pytest

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.statistics.split_statistics import SplitStatistics
from penstock.pipelines.statistics.statistics_files import by_name, common_stats, custom_stat

BATCH = 4096
TABLES = {
    "taxi": "taxi/data.csv",
    "titanic": "titanic/titanic.csv",
    "penguins": "penguins/penguins.csv",
    "ratings": "movielens/ml-latest-small.zip/ml-latest-small/ratings.csv",
    "movies": "movielens/ml-latest-small.zip/ml-latest-small/movies.csv",
}
ROWS = {"taxi": 15_002, "titanic": 891, "penguins": 344, "ratings": 100_836, "movies": 9_742}


def read(shared_data, name):
    folder, _, inside = TABLES[name].partition("/")
    archive, _, member = inside.rpartition(".zip/")
    if archive:
        import zipfile

        with zipfile.ZipFile(shared_data(folder) / f"{archive}.zip") as files:
            return pd.read_csv(files.open(member))
    return pd.read_csv(shared_data(folder) / inside)


def described(table):
    """(features, rows): integers as int64, other numbers as float32, all else as text."""
    features, columns = {}, {}
    for name, column in table.items():
        if column.dtype == np.int64:
            features[name] = Number(dtype="int64", optional=True)
            values = column.to_numpy()
        elif column.dtype == np.float64:
            features[name] = Number(optional=True)
            values = column.to_numpy(np.float32)
        else:
            features[name] = Text(optional=True)
            values = column.astype(str).to_numpy(object)
        columns[name] = list(values), column.notna().to_numpy()
    rows = [
        {name: values[place] for name, (values, there) in columns.items() if there[place]}
        for place in range(len(table))
    ]
    return features, rows


def statistics_of(features, rows, **slices):
    statistics = SplitStatistics(features, **slices)
    for start in range(0, len(rows), BATCH):
        statistics.add(rows[start : start + BATCH])
    return statistics


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_a_table(name, shared_data):
    table = read(shared_data, name)
    dataset = statistics_of(*described(table)).proto("train")
    assert dataset.num_examples == len(table) == ROWS[name]
    found = by_name(dataset)
    for column, values in table.items():
        common = common_stats(found[column])
        assert common.num_missing == values.isna().sum()
        assert common.num_non_missing == common.tot_num_values == values.notna().sum()
        present = values.dropna()
        if values.dtype in (np.int64, np.float64):
            check_numbers(found[column], present)
        else:
            check_texts(found, column, present.astype(str))


def check_numbers(feature, column):
    stats = feature.num_stats
    assert feature.type == (feature.INT if column.dtype == np.int64 else feature.FLOAT)
    assert stats.mean == pytest.approx(column.mean(), rel=1e-6)
    if column.dtype != np.int64:
        column = column.astype(np.float32).astype(np.float64)
    assert stats.num_zeros == (column == 0).sum()
    assert stats.mean == pytest.approx(column.mean(), rel=1e-12)
    assert stats.std_dev == pytest.approx(column.std(ddof=0), rel=1e-11, abs=1e-12)
    assert (stats.min, stats.max) == (column.min(), column.max())
    check_quantiles(feature, np.sort(column.to_numpy(np.float64)))
    unique = custom_stat(feature, "unique")
    if column.nunique() <= 1024:
        assert unique.num == column.nunique()
        assert custom_stat(feature, "quantiles_rank_error") is None
    elif column.dtype == np.int64:
        error = custom_stat(feature, "unique_relative_error").num
        assert unique.num == pytest.approx(column.nunique(), rel=error)
    else:
        assert unique is None
    counts = custom_stat(feature, "value_counts")
    assert (counts is not None) == (column.dtype == np.int64 and column.nunique() <= 100)
    if counts is not None:
        ranks = {int(b.label): b.sample_count for b in counts.rank_histogram.buckets}
        assert ranks == column.value_counts().to_dict()


def check_quantiles(feature, ordered):
    """Exact, or at a rank that is off by no more than is stated."""
    standard, quantiles = feature.num_stats.histograms
    stated = custom_stat(feature, "quantiles_rank_error")
    error = stated.num if stated else 0.0
    edges = [quantiles.buckets[0].low_value, *(b.high_value for b in quantiles.buckets)]
    found = [feature.num_stats.median, *edges]
    fractions = np.array([0.5, *(np.arange(101) / 100)])
    if not stated:
        expected = np.quantile(ordered, fractions, method="inverted_cdf")
        np.testing.assert_array_equal(found, expected)
    below = np.searchsorted(ordered, found, "left") / len(ordered)
    up_to = np.searchsorted(ordered, found, "right") / len(ordered)
    # The error that is stated holds 99 % of the time, for each of some hundred quantiles.
    assert np.all(below <= fractions + 2 * error)
    assert np.all(up_to >= fractions - 2 * error)
    assert sum(b.sample_count for b in quantiles.buckets) == pytest.approx(len(ordered))
    if ordered[0] < ordered[-1]:
        counts, _ = np.histogram(ordered, 10)
        shown = [b.sample_count for b in standard.buckets]
        np.testing.assert_allclose(shown, counts, atol=4 * error * len(ordered))


def check_texts(found, column, values):
    stats = found[column].string_stats
    counts = values.value_counts()
    assert stats.avg_length == pytest.approx(values.str.encode("utf-8").map(len).mean())
    if len(counts) <= 4096:
        assert stats.unique == len(counts)
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        assert [(v.value, v.frequency) for v in stats.top_values] == ranked[:20]
        ranks = [(b.label, b.sample_count) for b in stats.rank_histogram.buckets]
        assert ranks == ranked[:1000]
    else:
        error = custom_stat(found[column], "unique_relative_error").num
        assert stats.unique == pytest.approx(len(counts), rel=error)
        error = custom_stat(found[column], "top_values_error").num
        for value in stats.top_values:
            assert counts[value.value] <= value.frequency <= counts[value.value] + error
    check_numbers(found[f"{column}/characters"], values.str.len())
    check_numbers(found[f"{column}/words"], values.str.split().map(len))


def test_genres_as_a_sequence(shared_data):
    movies = read(shared_data, "movies")
    genres = movies["genres"].str.split("|")
    rows = [{"genres": value} for value in genres]
    found = by_name(statistics_of({"genres": Sequence(of=Text())}, rows).proto("train"))
    counts = genres.explode().value_counts()
    ranks = found["genres"].string_stats.rank_histogram.buckets
    assert {b.label: b.sample_count for b in ranks} == counts.to_dict()
    common = common_stats(found["genres"])
    lengths = genres.map(len)
    assert common.tot_num_values == lengths.sum()
    assert (common.min_num_values, common.max_num_values) == (lengths.min(), lengths.max())
    assert common.avg_num_values == pytest.approx(lengths.mean())
    check_numbers(found["genres/length"], lengths)
    check_numbers(found["genres/characters"], genres.explode().str.len())


def test_slices_equal_groups_of_pandas(shared_data):
    table = read(shared_data, "penguins")
    features, rows = described(table)
    species = sorted(table["species"].unique())
    features["species"] = Label(names=tuple(species))
    for row in rows:
        row["species"] = species.index(row["species"])
    statistics = statistics_of(features, rows, slices=("species", "year", "sex"))
    datasets = {dataset.name: dataset for dataset in statistics.slice_protos("train")}
    assert list(datasets) == [
        *(f"train: species={name}" for name in ("Adelie", "Chinstrap", "Gentoo")),
        *(f"train: year={year}" for year in (2007, 2008, 2009)),
        *(f"train: sex={sex}" for sex in ("female", "male")),
    ]
    for column in ("species", "year", "sex"):
        for value, group in table.groupby(column):
            dataset = datasets[f"train: {column}={value}"]
            assert dataset.num_examples == len(group)
            mass = by_name(dataset)["body_mass_g"]
            check_numbers(mass, group["body_mass_g"].dropna())
            assert mass.num_stats.common_stats.num_missing == group["body_mass_g"].isna().sum()
    whole = statistics_of(features, rows).proto("train")
    assert statistics.proto("train") == whole
