"""The report's page of checks of data: every kind of feature, drift, slices, anomalies, samples."""

import re
from html.parser import HTMLParser

import pytest

from penstock.pipelines.statistics import statistics_files
from penstock.tfx.report import headline, samples
from penstock.tfx.report.collect import collect
from penstock.tfx.report.write import write_report
from penstock.tfx.store import Store

FIRST, SECOND = "made-20260101-000000-00000001", "made-20260102-000000-00000002"


class Page(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.source = [], [], text
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


class Checks:
    """A store with checks of data, and their pages."""

    def __init__(self, made_runs, made_data, root):
        self._made_runs, self._made_data, self.root = made_runs, made_data, root
        self.store = Store(root / "store")
        self._config = root / "config.yaml"
        self._config.write_text("name: made\ndata: {source: {type: sklearn, dataset: iris}}\n")

    def make_only(self, name=FIRST, **how):
        self._made_data.make(self._made_runs, self.store, self._config, name, **how)

    def make(self, name=FIRST, **how):
        self.make_only(name, **how)
        return self.page(name)

    def page(self, name):
        path = self.root / "page.html"
        assert write_report(name, str(self.store.directory), None, str(path)) == 0
        return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def checks(made_runs, made_data, tmp_path):
    return Checks(made_runs, made_data, tmp_path)


@pytest.fixture(scope="module")
def page(made_runs, made_data, tmp_path_factory):
    """The page of changed data with every kind of feature, after a run of what they were before."""
    checks = Checks(made_runs, made_data, tmp_path_factory.mktemp("checks"))
    checks.make_only()
    return checks.make(SECOND, changed=True, baseline=FIRST)


def _heading(page):
    (heading,) = re.findall(r"<h1>(.*?)</h1>", page.source, re.DOTALL)
    return " ".join(re.sub("<[^>]+>", "", heading).split())


def test_a_check_of_data_has_no_empty_part_and_says_what_was_checked(checks):
    page = checks.make(names=("colour", "price", "class"))
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections == ["steps", "data", "environment"]
    assert "missing" not in {attributes.get("class") for attributes in page.all("p")}
    assert "the pipeline made checked 100 examples from sklearn iris" in _heading(page)
    # Equal contents in several splits, and under several labels.
    assert _heading(page).endswith("the data passed, with 2 warnings and 1 bad record.")
    assert "train 60, test 40" in page.text
    assert "bad records 1 of 101 records read" in page.text
    assert "anomalies 0 and 2 warnings; against an inferred schema" in page.text
    assert "several splits and several labels" in page.text
    assert "Drift" not in page.text


def test_every_picture_of_the_data_has_a_caption_a_description_and_safe_names(page):
    assert len(page.all("figure")) == len(page.all("figcaption")) > 20
    drawn = [a for a in page.all("svg") if not a.get("aria-hidden")]
    assert all(len(attributes["aria-label"]) > 10 for attributes in drawn)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page.source)
    assert {a or b for a, b in wanted} <= set(ids)
    assert page.all("script") == []
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert not {"i", "u", "b"} & {tag for tag, _ in page.tags}
    assert "<b>head</b>" in page.text
    assert "\x1b" not in page.source
    addresses = [a[n] for _, a in page.tags for n in ("src", "href") if n in a]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert len(page.source) < 2_000_000


@pytest.mark.parametrize(
    "caption",
    [
        "kinds: the share of each of 3 classes in every split. 1 of these classes is not in train.",
        "colour: the share of each of 4 values in every split.",
        "Mean brightness of picture (0 black…1 white): the share of each split in each range.",
        "Length of the list boxes (entries): the share of each split at each value.",
        "Pixels of mask by class: the share of each of 2 classes in every split.",
        "Duration of speech (s): the share of each split in each range.",
        "Length of the list tags (entries)",
        "day: the share of each split at each value.",
        "How many examples of each split have no value, for the 2 features that lack some.",
        "Constant in every split: picture/height 36 pixels, picture/width 48 pixels",
    ],
)
def test_each_kind_of_feature_is_drawn_or_told(page, caption):
    assert caption in page.text


def test_what_is_cut_off_is_said(checks):
    """One price of train is 10,000, the others are lognormal; 51 of 60 examples have one."""
    (said,) = re.findall(
        r"price: the share .* range\. Not drawn: (.*?\)\.)", checks.make(names=("price",)).text
    )
    assert re.fullmatch(r"at most 2\.0 % of the values above \d+\.\d+ \(up to 10,000\)\.", said)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "csv", "path": "a.csv", "label": "x"}, "csv a.csv"),
        ({"type": "audio_folder", "pattern": "x", "path": "in"}, "audio_folder in"),
        ({"type": "m", "rows": {"type": "csv", "path": "a.csv"}, "file": "{id}"}, "m a.csv"),
        ({"type": "coco", "boxes_outside": "clip", "annotations": {"train": "t"}}, "coco t"),
        (
            {"type": "p", "splits": {"a": {"en": "1", "de": "2"}, "b": {"en": "3"}}},
            "p 1 and 2 more",
        ),
        ({"type": "my.own", "greeting": "hello"}, "my.own"),
    ],
    ids=["path", "pattern", "manifest", "boxes", "several", "own"],
)
def test_the_headline_says_where_the_data_are(checks, source, said):
    checks.make_only(names=("price",))
    run = collect(checks.store, checks.store.resolve_run(FIRST))
    run.config["data"]["source"] = source
    assert f"checked 100 examples from {said} for" in headline.section(run)["before"]


def test_missing_values_are_counted_with_their_share(page):
    # Every fifth of 60 remarks and of 40.
    assert "12 (20.0 %)" in page.text
    assert "8 (20.0 %)" in page.text
    # Every seventh price: 9 of 60.
    assert "9 (15.0 %)" in page.text


def test_slices_are_compared_in_pictures_and_a_table(page):
    assert "By class" in page.text
    assert "The examples of the split train by class" in page.text
    assert "30 50.0 %" in page.text  # of 60 examples every second
    assert "kinds: the share of each of 3 classes in every slice." in page.text


def test_drift_is_drawn_beside_both_distributions(page):
    assert f"were compared with those of the run {FIRST} ; 1 is further away than" in page.text
    caption = "Mean brightness of picture, split train: the share of each run in each range."
    assert caption in page.text
    assert "this run the other run change" in page.text
    assert "train 60 60 +0.0 %" in page.text
    assert "of its limit, picture/brightness" in page.text.split("Steps")[0]  # at the top


def test_anomalies_are_shown_with_their_records(page):
    assert _heading(page).endswith("it found 1 anomaly, of which the config only warns.")
    found = r"<strong>picture/brightness</strong>(.*?)</li>"
    (row,) = re.findall(found, page.source, re.DOTALL)
    assert row.count("<img ") == 3
    assert "For example" not in row
    assert "see the anomalies" in page.text


def test_samples_show_boxes_with_the_colours_of_their_classes(page):
    assert "with the boxes drawn over the images" in page.text
    (legend,) = re.findall(r'<ul class="legend">(.*?)</ul>', page.source, re.DOTALL)
    assert legend.count("<li>") == 3
    assert "background: #1f77b4" in legend


@pytest.mark.parametrize(
    ("names", "said", "tag"),
    [
        (("picture", "mask"), "with the classes of the mask in colour", "img"),
        (("speech", "remark", "class"), "the waveform, each scaled to its own peak", "audio"),
        (("picture",), "The first examples of the data in the split train, as they are", "img"),
        (("remark", "price"), "The first examples of the data in the split train.", "table"),
    ],
    ids=["masks", "recordings", "images", "a table"],
)
def test_samples_of_other_kinds(checks, names, said, tag):
    page = checks.make(names=names)
    assert said in page.text
    assert page.all(tag)


def test_columns_of_samples_stay_in_line_where_values_are_missing(checks):
    """The first example has neither remark nor price."""
    page = checks.make(names=("remark", "colour", "price"))
    (table,) = re.findall(r'<table class="texts">(.*?)</table>', page.source, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    assert {len(row) for row in cells} == {4}
    assert (cells[0][1], cells[0][3]) == ("–", "–")


def test_of_many_columns_the_first_are_shown(checks, monkeypatch):
    monkeypatch.setattr(samples, "MOST_COLUMNS", 2)
    page = checks.make(names=("remark", "colour", "price"))
    assert "Shown are the first 2 features of 3." in page.text
    (table,) = re.findall(r'<table class="texts">(.*?)</table>', page.source, re.DOTALL)
    assert {row.count("<td") for row in table.split("<tr>")[2:]} == {3}  # and the key


def test_empty_splits_are_left_out(checks):
    page = checks.make(names=("price",))
    assert "100 examples in 2 splits, with price" in page.text
    assert "unused" not in page.text.split("Environment")[0]


def test_statistics_are_parsed_once_for_all_distances(checks, monkeypatch):
    reads = []

    def counted(directory):
        reads.append(directory)
        return statistics_files.read(directory)

    for module in ("collect", "drift"):
        monkeypatch.setattr(f"penstock.tfx.report.{module}.read", counted)
    checks.make_only(names=("price",))
    page = checks.make(SECOND, names=("price",), changed=True, baseline=FIRST)
    assert "Drift" in page.text
    # Those of this run, and those of the other one.
    assert len(reads) == len(set(reads)) == 2


def test_equal_data_have_no_bars_and_no_pictures_of_drift(checks):
    checks.make_only(names=("price", "colour"))
    page = checks.make(SECOND, names=("price", "colour"), baseline=FIRST)
    assert f"were compared with those of the run {FIRST} ; none is further away" in page.text
    assert "0 % of its limit, every feature: as in the earlier run" in page.text
    assert "Distances of" not in page.source
    assert "the share of each run" not in page.text


def test_lengths_of_categories_are_left_out_of_the_distances(checks):
    """`colour` has four values; how long their names are says nothing."""
    checks.make_only(names=("colour", "remark"))
    page = checks.make(SECOND, names=("colour", "remark"), baseline=FIRST)
    measured = set(re.findall(r'<th scope="row">([^<]+)</th><td>[A-Z]?[a-z]+', page.source))
    assert {"colour", "remark"} <= measured
    assert "colour/characters" not in page.text


def test_a_list_that_is_as_long_as_another_is_told_and_not_drawn_again(page):
    assert "The lengths of kinds are distributed like those of boxes." in page.text
    rows = re.findall(r'<th scope="rowgroup"[^>]*>([^<]+)<', page.source)
    assert "boxes/length" in rows
    assert "kinds/length" not in rows
    assert "Length of the list kinds (entries): the share of each split" not in page.text


def test_a_baseline_that_is_gone_leaves_the_distances(checks):
    checks.make(names=("price", "colour"))
    checks.make(SECOND, names=("price", "colour"), changed=True, baseline=FIRST)
    path = next(checks.store.directory.glob(f"artifacts/StatisticsGen/*{FIRST}/statistics/*.binpb"))
    path.unlink()
    page = checks.page(SECOND)
    assert f"were compared with those of the run {FIRST} ;" in page.text
    assert "The distance of each feature" in page.text
    assert "this run the other run" not in page.text
