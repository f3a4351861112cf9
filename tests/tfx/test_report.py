"""The report's page of made runs: whole, safe, self-contained, whatever is missing."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from penstock.pipelines.features import Number, Text
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.sources.source import BadRecord
from penstock.tfx.report import samples
from penstock.tfx.report.collect import collect
from penstock.tfx.report.write import write_report
from penstock.tfx.store import Store

SECTIONS = ["steps", "data", "training", "evaluation", "serving", "environment"]


class Page(HTMLParser):
    """What a test asks of a page: its tags with attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.source = [], [], text
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


class Reported:
    """A store, its runs made, and their pages."""

    def __init__(self, made_runs, repository, root):
        self.store, self.root = Store(root / "store"), root
        self._made, self._config = made_runs, repository / "configs" / "vision" / "digits.yaml"

    def make(self, **how):
        """Makes a run (see `made_runs.make_run`) and reads its page."""
        return self.page(self._made.make_run(self.store, self._config, **how))

    def make_failed(self):
        """Makes a run that failed in Evaluator after 200.2 s; its name."""
        how = {"last": "Evaluator", "ending": "FAILED", "reason": "It is bad."}
        return self._made.make_run(self.store, self._config, **how)

    def page(self, run=None):
        path = self.root / "page.html"
        assert write_report(run, str(self.store.directory), None, str(path)) == 0
        return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def reported(made_runs, repository, tmp_path):
    return Reported(made_runs, repository, tmp_path)


@pytest.fixture(scope="module")
def whole(made_runs, repository, tmp_path_factory):
    """A complete run; tests must leave it as it is."""
    found = Reported(made_runs, repository, tmp_path_factory.mktemp("whole"))
    found.complete = found.make()
    return found


@pytest.fixture
def page(whole):
    return whole.complete


def test_a_complete_run_has_every_section_and_says_what_came_out(page):
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    (heading,) = re.findall(r"<h1>(.*?)</h1>", page.source, re.DOTALL)
    said = " ".join(re.sub("<[^>]+>", "", heading).split())
    assert (
        "the pipeline made ran vision.classification on 36 examples from sklearn digits for 3 min 20 s"
        in said
    )
    assert said.endswith("its model was blessed and pushed as version 3.")
    assert "missing" not in {attributes.get("class") for attributes in page.all("p")}
    assert "13 of 49 records (26.5 %) could not be used" in page.text  # 13 / 49 = 0.2653
    assert "1 content is in several splits at once" in page.text
    assert "1 example repeats the content of another one." in page.text
    assert "`weight`" not in page.text
    assert "Expected at most 1, found 4.25" in page.text  # (18 - 1) / 4 in train
    assert "3 of 12 answers are wrong" in page.text
    assert "initial weights presets/mine" in page.text
    assert "padding 12.8 %" in page.text
    assert "resumed at epoch 2, step 7" in page.text
    assert "where it is no longer" in page.text  # the pushed folder was never made


def test_only_photographs_are_shown_large(reported, page, monkeypatch):
    assert "classes" in {attributes.get("class") for attributes in page.all("div")}
    monkeypatch.setattr(samples, "SMALL", 11)  # the made images are 12 x 10
    large = reported.make()
    assert "classes large" in {attributes.get("class") for attributes in large.all("div")}


def test_every_picture_has_a_caption_and_a_description(page):
    assert len(page.all("figure")) == len(page.all("figcaption")) > 8
    pictures = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    small = [attributes for attributes in page.all("svg") if attributes.get("aria-hidden")]
    assert len(pictures) == len(page.all("svg")) - len(small) > 8
    assert len(small) == 3 * 3  # weight and the lengths of remark, in three splits
    assert all(len(attributes["aria-label"]) > 10 for attributes in pictures)
    # 3 of each of six classes (there are 18), and the 12 rows of the evaluation.
    assert len(page.all("img")) == 18 + 12
    assert all(attributes["alt"] for attributes in page.all("img"))


def test_ids_are_unique_and_every_reference_within_the_page_leads_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page.source)
    assert len(wanted) > 20
    assert {a or b for a, b in wanted} <= set(ids)


def test_nothing_is_fetched_from_anywhere(page):
    addresses = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("src", "href", "xlink:href", "srcset", "action", "data")
        if name in attributes
    ]
    assert len(addresses) > 30
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in page.source
    assert "url(" not in re.sub(r"url\(#[^)]+\)", "", page.source)
    policy = page.all("meta")[3]
    assert (
        policy["content"]
        == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    )


def test_names_that_are_markup_are_shown_and_not_obeyed(page):
    """Class names, texts, file names, summaries: `<script>`, `</svg><img onerror>`, `$\\frac`."""
    assert page.all("script") == []
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert "<b>" not in page.source
    assert "<script>alert(1)</script>" in page.text
    assert "$\\frac{1}{x$" in page.text
    assert "photos/<i>.png" in page.text
    assert "\x07" not in page.source
    assert "<code>no</code>" in page.source


@pytest.mark.parametrize(
    ("last", "ending"),
    [
        ("ExampleGen", "STOPPED"),
        ("Transform", "INTERRUPTED"),
        ("Trainer", "FAILED"),
        ("Evaluator", "STOPPED"),
    ],
)
def test_a_run_that_ended_early_says_where_and_what_is_missing(reported, last, ending):
    page = reported.make(last=last, ending=ending, reason="It is `bad` <i>enough</i>.")
    sentence = {
        "STOPPED": f"{last} stopped it , so that nothing was pushed.",
        "FAILED": f"{last} failed , so that nothing was pushed.",
        "INTERRUPTED": "it was interrupted",
    }[ending]
    assert sentence in page.text
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    assert "Nothing was pushed." in page.text
    assert ("There is no trained model" in page.text) is (last != "Evaluator")
    if ending != "INTERRUPTED":
        assert "It is <code>bad</code> &lt;i&gt;enough&lt;/i&gt;." in page.source
    boxes = [a["class"] for a in page.all("g") if a.get("class", "").startswith("box ")]
    assert len(boxes) == 9  # those that were not reached too
    assert f"box {ending.lower()}" in boxes
    assert "box not-run" in boxes


def _complete(reported, run, step, outputs, seconds=1.5):
    """Records one more execution of a made run, with outputs from elsewhere in the store."""
    id = f"{step.lower()}-more"
    reported.store.metadata.begin_execution(id, run, step, f"my:{step}", id, {})
    made = {
        name: {"type": kind, "content_digest": f"{id}.{name}"} for name, kind in outputs.items()
    }
    made = {name: facts | {"size_bytes": 1, "properties": {}} for name, facts in made.items()}
    document = {"gate": None, "summary": {}, "seconds": seconds, "outputs": made, "inputs": {}}
    reported.store.metadata.complete_execution(id, document, f"artifacts/{step}/{id}")


@pytest.mark.parametrize(
    ("ending", "verdict"), [("FAILED", "Notify failed"), ("STOPPED", "Notify stopped it")]
)
def test_a_run_that_ended_after_the_push_says_what_was_pushed(reported, ending, verdict):
    name = reported._made.make_run(reported.store, reported._config)
    facts = {"reason": "No route to host.", "stopped_at": "Notify"}
    reported.store.metadata.end_run(name, ending, facts)
    assert f"{verdict} ; its model had been pushed as version 3." in reported.page().text
    shutil.rmtree(reported.store.directory / "artifacts" / "Pusher")
    assert f"{verdict} ; its model had been pushed." in reported.page().text


def test_a_run_that_was_killed_counts_at_least_what_its_executions_took(reported):
    """It failed after 200.2 s, was resumed, worked for two hours and was killed."""
    name = reported.make_failed()
    reported.store.metadata.begin_run(name, "made", {})
    _complete(reported, name, "Evaluator", {}, seconds=7200.0)
    # The other executions took 1.5 s at the same time.
    assert "for 2 h 0 min" in reported.page().text


def test_a_run_that_was_resumed_and_killed_at_once_keeps_what_is_known(reported):
    name = reported.make_failed()
    reported.store.metadata.begin_run(name, "made", {})
    assert "for 3 min 20 s" in reported.page().text


def test_what_an_extra_step_makes_is_not_taken_for_the_runs_own(reported, monkeypatch):
    """A step of the user's own, run before Evaluator, makes an Evaluation too."""
    made, config = reported._made, reported.root / "c.yaml"
    (reported.root / "my_steps.py").write_text(
        "from penstock.tfx.artifacts import Evaluation, Model\n"
        "from penstock.tfx.component import Input, Output\n"
        "from penstock.tfx.function_component import component\n\n\n"
        "@component\n"
        "def Probe(model: Input[Model], found: Output[Evaluation]) -> None: ...\n"
    )
    monkeypatch.syspath_prepend(reported.root)
    extra = "steps: {Probe: {component: 'my_steps:Probe', inputs: {model: Trainer.model}}}\n"
    config.write_text(reported._config.read_text() + extra)
    steps = list(made.STEPS.items())
    steps.insert(6, ("Probe", ({"model": "Trainer.model"}, {"found": "Evaluation"})))
    monkeypatch.setattr(made, "STEPS", dict(steps))
    name = made.make_run(reported.store, config)
    row = reported.store.resolve_run(name)
    found = collect(reported.store, row)
    assert found.artifacts["Evaluation"].parts[-3] == "Evaluator"
    assert list(found.steps).index("Probe") > 0


def test_a_judgement_that_cannot_be_read_is_not_called_none(reported):
    page = reported.make()
    assert "1 of 1 checks passed" in page.text
    path = next(reported.store.directory.glob("artifacts/Evaluator/*/blessing/blessing.json"))
    path.write_text(json.dumps({"blessed": True, "reasons": [], "checks": []}))
    assert "The config sets no limits" in reported.page().text
    path.write_text("{")
    page = reported.page()
    assert "The judgement can no longer be read." in page.text
    assert "The config sets no limits" not in page.text


def test_bad_records_are_shown_by_reason_with_their_bytes_as_text(reported, monkeypatch):
    bad = [
        BadRecord(
            "a.csv", i, f"`age` is '{i}'; expected a number.", "", 1234 * i, b"<b>\x1b[2J;\xff"
        )
        for i in range(7)
    ]
    bad.append(BadRecord("b.csv", 0, "The line is empty."))
    writers = reported._made.WRITERS
    monkeypatch.setitem(writers, "Quarantine", lambda d, store: quarantine.write(d, bad, 92))
    page = reported.make()
    assert "8 of 100 records (8.0 %) could not be used" in page.text
    assert "<code>age</code> is …; expected a number." in page.source
    assert "87.5 %" in page.text  # 7 of 8
    assert r"&lt;b&gt;\x1b[2J;\xff" in page.source
    assert page.text.count("a.csv") == 3
    assert "1,234" in page.text
    assert "\x1b" not in page.source


def test_a_quarantine_of_an_earlier_version_is_shown(reported):
    reported.make()
    directory = next(reported.store.directory.glob("artifacts/ExampleGen/*/quarantine"))
    old = {"bad": 13, "good": 36, "reasons": {"The file is empty.": 12, "It is `no` image.": 1}}
    (directory / "summary.json").write_text(json.dumps(old))
    page = reported.page()
    assert "13 of 49 records (26.5 %) could not be used" in page.text
    assert "92.3 %" in page.text  # 12 of 13
    assert page.text.count("photos/<i>.png") == 3


def test_artifacts_that_are_gone_are_said_to_be_and_the_rest_is_shown(reported):
    reported.make()
    shutil.rmtree(reported.store.directory / "artifacts")
    page = reported.page()
    assert len([a for a in page.all("p") if a.get("class") == "missing"]) >= 6
    assert "There are no examples to show" in page.text
    assert len([a for a in page.all("g") if a.get("class") == "box executed"]) == 9


def test_a_store_that_was_moved_is_reported_from_where_it_is(whole, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(whole.store.directory, moved)
    assert write_report("made", str(moved), None, None) == 0
    path = next(moved.glob("runs/made-*/report.html"))
    assert capsys.readouterr().out == f"report: {path}\n"
    assert len(Page(path.read_text(encoding="utf-8")).all("img")) == 18 + 12


def test_steps_from_the_cache_are_shown_with_the_run_that_made_them(whole, made_runs):
    metadata = whole.store.metadata
    metadata.begin_run("another", "made", {})
    for step, _, record in metadata.steps_of(made_runs.RUN):
        metadata.reuse_execution("another", step, record.id)
    metadata.end_run("another", "COMPLETE", {"reason": None, "stopped_at": None})
    page = whole.page("another")
    assert len([a for a in page.all("g") if a.get("class") == "box cached"]) == 9
    assert f"cached from the run {made_runs.RUN}" in page.text
    assert "9 from the cache" in page.text


def test_an_output_that_is_a_folder_is_refused(whole, tmp_path):
    with pytest.raises(ValueError, match=r"`--output` must be a file, not a folder\. Received: "):
        write_report(None, str(whole.store.directory), None, str(tmp_path))


def test_the_command_imports_neither_tensorflow_nor_keras_nor_beam(whole):
    heavy = {"tensorflow", "keras", "apache_beam", "sklearn", "pyarrow"}
    code = (
        "import sys\nfrom penstock.tfx.main import main\n"
        f"sys.argv = ['penstock', 'report', '--store', {str(whole.store.directory)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        "    loaded = {m.split('.')[0] for m in sys.modules}\n"
        f"    print(sorted({heavy!r} & loaded), end.code)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_a_task_without_images_and_confusions_has_tables_and_texts(
    reported, made_runs, monkeypatch
):
    """What a translator leaves behind: texts in, texts out, no classes, no loss for each example."""

    def examples(directory, store):
        made_runs._examples(directory, store, {"sentence": Text(), "length": Number(dtype="int64")})

    def evaluation(directory, store):
        rows = [{"key": f"test-{i}", "text": f"answer {i}", "correct": i > 4} for i in range(12)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / "rows.jsonl").write_text(lines)
        measured = {"value": 7 / 12, "low": None, "high": None, "interval": None}
        document = {"split": "test", "examples": 12, "confidence": 0.95, "slices": []}
        document |= {"overall": {"exact_match": measured}, "details": {}, "baseline": {}}
        (directory / "metrics.json").write_text(json.dumps(document))

    monkeypatch.setitem(made_runs.WRITERS, "Examples", examples)
    monkeypatch.setitem(made_runs.WRITERS, "Evaluation", evaluation)
    page = reported.make()
    assert page.all("img") == []
    assert "Confusions" not in page.text
    assert "Slices" not in page.text
    assert "sentence number 3" in page.text
    assert "exact_match 0.583" in page.text  # 7 / 12
    assert "answer 4" in page.text
    assert "answer 5" not in page.text
    assert "5 of 12 examples were answered wrongly" in page.text


def test_a_run_that_is_under_way_is_said_to_be(reported):
    name = reported._made.make_run(
        reported.store, reported._config, last="Trainer", ending="INTERRUPTED"
    )
    lease = reported.store.lease(name)
    lease.acquire()
    try:
        page = reported.page()
    finally:
        lease.release()
    assert "it is still running : the page shows what is complete." in page.text
    assert "box running" in [a.get("class") for a in page.all("g")]
