"""The report as a browser shows it: whole, offline, in light and dark, on a desk and on a telephone.

Skipped where Chromium and its driver are missing (Debian: `apt-get install chromium
chromium-driver`). The runs are made ones (`tests/made_runs.py`, `tests/made_data.py`), whose names
try to break the page.
"""

import json
import shutil
import tempfile

import pytest

from penstock.tfx.report import write
from penstock.tfx.store import Store

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed"
)

DESK, TELEPHONE = (1280, 900), (390, 844)
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def path(made_runs, repository, tmp_path_factory):
    """The page of a complete run."""
    root = tmp_path_factory.mktemp("report")
    store = Store(root / "store")
    made_runs.make_run(store, repository / "configs" / "vision" / "digits.yaml")
    write.write_report(None, str(store.directory), None, str(root / "page.html"))
    return root / "page.html"


@pytest.fixture(scope="module")
def data_path(made_runs, made_data, tmp_path_factory):
    """The page of a check of data with every kind of feature, which have drifted."""
    root = tmp_path_factory.mktemp("check")
    store, config = Store(root / "store"), root / "config.yaml"
    config.write_text("name: made\ndata: {source: {type: sklearn, dataset: iris}}\n")
    first, second = "made-20260101-000000-00000001", "made-20260102-000000-00000002"
    made_data.make(made_runs, store, config, first)
    made_data.make(made_runs, store, config, second, changed=True, baseline=first)
    write.write_report(second, str(store.directory), None, str(root / "page.html"))
    return root / "page.html"


@pytest.fixture(scope="module")
def answers_paths(made_answers, tmp_path_factory):
    """Kind -> the page of a model that answers with a text."""
    paths = {}
    for kind in ("translator", "recogniser"):
        folder = tmp_path_factory.mktemp(kind)
        page = write.render(getattr(made_answers, kind)(folder))
        paths[kind] = folder / "page.html"
        paths[kind].write_text(page, encoding="utf-8")
    return paths


@pytest.fixture
def translator_path(answers_paths):
    return answers_paths["translator"]


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tempfile.mkdtemp()
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=Service(DRIVER)
    )  # a path: nothing is fetched
    driver.get("about:blank")
    driver.get_log("performance")  # what the browser's own first page has asked for
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def show(browser, path):
    """`show(size, scheme)` opens the page, with everything that can be folded out folded out."""

    def open_page(size=DESK, scheme="light", page=path):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        metrics["mobile"] = size == TELEPHONE
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        return browser

    return open_page


def _requests(browser):
    """Addresses that the page has asked for since the log was read last."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [request["request"]["url"] for request in sent]


def test_the_page_asks_for_nothing_but_itself_and_says_no_error(show, path):
    browser = show()
    asked = [address for address in _requests(browser) if not address.startswith("data:")]
    assert asked == [path.as_uri()]
    assert browser.get_log("browser") == []
    assert browser.title.startswith("made-20260102-030405-00000000: complete")


def test_pictures_are_loaded_headings_are_there_and_figures_have_captions(show):
    found = show().execute_script("""
        const all = selector => [...document.querySelectorAll(selector)];
        return {
            images: all('img').length,
            broken: all('img').filter(i => !i.complete || !i.naturalWidth).length,
            headings: all('h1, h2').map(h => h.textContent),
            figures: all('figure').length,
            bare: all('figure').filter(f => !f.querySelector('figcaption')?.textContent.trim()).length,
            flat: all('svg:not(.spark)').filter(s => s.getBoundingClientRect().height < 50).length,
            targets: all('nav a').filter(a => !document.querySelector(a.getAttribute('href'))).length,
        }""")
    assert (found["images"], found["broken"]) == (30, 0)
    assert found["headings"][0].startswith("On ")
    assert found["headings"][1:] == [
        "Steps",
        "Data",
        "Training",
        "Evaluation",
        "Serving",
        "Environment",
    ]
    assert found["figures"] > 8
    assert (found["bare"], found["flat"], found["targets"]) == (0, 0, 0)


def test_a_page_of_data_asks_for_nothing_and_shows_what_it_has(show, browser, data_path):
    _requests(browser)  # those of earlier pages
    show(page=data_path)
    asked = [address for address in _requests(browser) if not address.startswith("data:")]
    assert asked == [data_path.as_uri()]
    assert browser.get_log("browser") == []
    found = browser.execute_script("""
        const all = selector => [...document.querySelectorAll(selector)];
        return {
            broken: all('img').filter(i => !i.complete || !i.naturalWidth).length,
            images: all('img').length,
            figures: all('figure').length,
            bare: all('figure').filter(f => !f.querySelector('figcaption')?.textContent.trim()).length,
            flat: all('svg:not(.spark)').filter(s => s.getBoundingClientRect().height < 20).length,
            empty: all('.spark path').filter(p => p.getBoundingClientRect().height < 1).length,
        }""")
    assert (found["broken"], found["bare"], found["flat"], found["empty"]) == (0, 0, 0, 0)
    assert found["images"] == 12 + 3  # samples, and three records of one anomaly
    assert found["figures"] > 20


@pytest.mark.parametrize("size", [DESK, TELEPHONE], ids=["desk", "telephone"])
@pytest.mark.parametrize("of", ["translator", "recogniser"])
def test_a_page_of_answers_fits_the_window(show, browser, answers_paths, of, size):
    show(size, page=answers_paths[of])
    assert browser.get_log("browser") == []
    assert _outside(browser) == []
    flat = browser.execute_script("""
        return [...document.querySelectorAll('.attention, .spoken, .figures svg')]
            .map(s => s.getBoundingClientRect()).filter(r => r.height < 15 || r.width < 200).length""")
    assert flat == 0


def _outside(browser):
    """What reaches beyond the window and does not scroll in a box of its own."""
    return browser.execute_script("""
        const wide = document.documentElement.clientWidth + 1;
        return [...document.querySelectorAll('body *')]
            .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > wide)
            .map(e => e.outerHTML.slice(0, 80))""")


@pytest.mark.parametrize("size", [DESK, (768, 900), TELEPHONE], ids=["desk", "tablet", "telephone"])
@pytest.mark.parametrize("of", ["path", "data_path"], ids=["a model", "data"])
def test_the_page_is_no_wider_than_the_window_with_everything_folded_out(show, size, of, request):
    """Wide tables and drawings scroll in boxes of their own."""
    browser = show(size, page=request.getfixturevalue(of))
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]
    assert _outside(browser) == []


CONTRASTS = """
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = color => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const ground = getComputedStyle(document.body).backgroundColor;
    const words = [...document.querySelectorAll(
        'h1, h2, strong, p, li, span, td, th, small, dt, dd, a, summary, code, figcaption, mark, svg text')]
        .filter(e => e.textContent.trim() && e.getAttribute('style')?.includes('--on-fill') !== true);
    const colors = new Set(words.map(e => {
        const style = getComputedStyle(e);
        return e.closest('svg') ? style.fill : style.color;
    }));
    return {ground: rgb(ground), colors: [...colors].map(rgb)}"""


def _luminance(color):
    """Relative luminance, WCAG 2.2."""
    parts = [c / 255 for c in color[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_the_standard_says():
    assert _contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21.0)
    assert _contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)  # #777


@pytest.mark.parametrize(
    "of", ["path", "data_path", "translator_path"], ids=["a model", "data", "answers"]
)
def test_text_is_readable_in_light_and_in_dark(show, of, request):
    grounds, page = {}, request.getfixturevalue(of)
    for scheme in ("light", "dark"):
        found = show(scheme=scheme, page=page).execute_script(CONTRASTS)
        grounds[scheme] = _luminance(found["ground"])
        assert len(found["colors"]) > 3  # text, quiet text, links, good; bad where something is
        for color in found["colors"]:
            assert _contrast(color, found["ground"]) >= 4.5, f"{scheme}: {color}"
    assert grounds["light"] > 0.8
    assert grounds["dark"] < 0.05
