"""`verillm report` in a real browser: nothing overflows, nothing is asked for, the data are those of the tables."""

import csv
import io
import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

import browser

WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")

# One more than a figure shows.
ATTACKS = ("none", "weights-bf16", "weights-q8_0", "weights-q4_k_m", "cache-q8_0", "early-exit", "substituted-tokens", "flipped-bits", "other-seed")

# Elements that stick out of the box they belong in, or out of the window.
STICKING_OUT = """
[...document.querySelectorAll('figure, figure svg, figure .scroll, .panels > div, table, .legend, pre, p, h1, h2, h3')].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.width === 0) return false;
  const parent = e.closest('.scroll') && e.tagName === 'TABLE' ? null : e.parentElement.getBoundingClientRect();
  return box.left < -0.5 || (parent && (box.left < parent.left - 0.5 || box.right > parent.right + 0.5));
}).map(e => e.tagName + ' ' + e.className)
"""

# Height of the letters in figures, in pixels of the page.
LETTERS = """
Math.min(...[...document.querySelectorAll('figure svg text')].map(t => {
  const svg = t.ownerSVGElement;
  return parseFloat(t.closest('[font-size]').getAttribute('font-size')) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
}))
"""

# Each link to data with the cells of its table.
DATA = """
[...document.querySelectorAll('a.csv')].map(a => {
  const figure = a.closest('figure');
  const table = figure ? figure.querySelector('table') : a.parentElement.previousElementSibling.querySelector('table');
  return [a.href, a.download, [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))];
})
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if browser.program() is None:
        pytest.skip("there is no Chromium (Debian package chromium)")
    with browser.Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    """Folder of a small experiment with honest runs, cheats and a calibration, both ways round."""
    folder = tmp_path_factory.mktemp("results")
    done = run("experiment", "run", "configs/detection.yaml", "--out", folder, "--trials", 2, "--attack", ",".join(ATTACKS), "--calibration",
               "configs/calibrations/smollm2-135m.json", timeout=1200)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def experiment_page(run, results):
    done = run("report", results)
    assert done.code == 0, done.err
    assert done.out == f"{results / 'report.html'}\n"
    return results / "report.html"


@pytest.fixture(scope="module")
def verification_page(run, trace, model, variants, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verification")
    done = run("verify", trace, "--model", model, "--device", variants[1], "--json")
    assert done.code == 0, done.err
    (folder / "verification.json").write_text(done.out)
    done = run("report", folder / "verification.json", "--out", folder / "page.html")
    assert done.code == 0 and done.out == f"{folder / 'page.html'}\n", done.err
    return folder / "page.html"


@pytest.fixture(params=["experiment_page", "verification_page"])
def page(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_window_and_asks_for_nothing(chromium, page, width, scheme):
    chromium.open(page, width, scheme)
    assert chromium.complaints() == []
    assert chromium.requests() <= {"file", "data"}
    root = "document.scrollingElement"
    assert chromium.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert chromium.evaluate(STICKING_OUT) == []
    chromium.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert chromium.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert chromium.evaluate(STICKING_OUT) == []
    assert chromium.evaluate(LETTERS) >= 10


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_figures_follow_the_scheme(chromium, page, scheme, dark):
    chromium.open(page, 1400, scheme)
    # A text of a figure, a curve and the page: sums of red, green and blue.
    brightness = "e => getComputedStyle(e[0])[e[1]].match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    text, curve, paper = chromium.evaluate("[[document.querySelector('figure svg text'), 'fill'], [document.querySelector('figure svg [stroke*=\"--c0\"]'),"
                                           f" 'stroke'], [document.body, 'backgroundColor']].map({brightness})")
    assert (paper < 150) == dark
    assert abs(text - paper) > 400 and abs(curve - paper) > 150


def test_saved_data_equal_the_tables(chromium, page):
    chromium.open(page, 1400)
    data = chromium.evaluate(DATA)
    names = [name for _, name, _ in data]
    assert len(names) >= 4 and len(set(names)) == len(names)
    for link, name, cells in data:
        head, text = link.split(",", 1)
        assert head == "data:text/csv;charset=utf-8" and name.endswith(".csv")
        assert list(csv.reader(io.StringIO(unquote(text), newline=""))) == cells, name
        assert len(cells) > 1 and all(len(row) == len(cells[0]) for row in cells)


def test_experiment_page_has_verdicts_first_and_every_figure(chromium, experiment_page):
    chromium.open(experiment_page, 1400)
    assert chromium.evaluate("document.querySelector('.verdict').textContent").startswith("As expected in ")
    assert chromium.evaluate("document.querySelector('.verdict').compareDocumentPosition(document.querySelector('h2')) & 4")
    figures = chromium.evaluate("[...document.querySelectorAll('figure')].map(f => f.id)")
    kinds = ("error-by-depth", "pe-by-depth", "error-by-position", "accepted")
    assert figures == [f"{kind}-honest-runs" for kind in kinds] + [
        f"{kind}-cheats" for kind in ("error-distribution", "roc", "area-by-positions", "rejected-within", *kinds)]
    assert chromium.evaluate("[...document.querySelectorAll('figure:not(.wide)')].every(f => f.querySelectorAll('svg[role=img]').length === 1)")
    assert chromium.evaluate("document.querySelector('#roc-cheats').textContent").count("7 of 8 are drawn; the table has all.") == 1
    assert chromium.evaluate("document.querySelectorAll('#accepted-cheats svg[role=img]').length") == 8
    headings = chromium.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert headings == ["Research questions", "Honest runs", "Cheats", "How it was run"]


def test_verification_page_says_what_was_decided(chromium, verification_page):
    chromium.open(verification_page, 1400)
    assert chromium.evaluate("document.querySelector('.verdict.good').textContent").startswith("accept by policy paper: ")
    assert chromium.evaluate("[...document.querySelectorAll('figure')].map(f => f.id)") == ["error-by-depth", "pe-by-depth", "margin-by-position"]


def test_what_is_no_result_is_refused_by_name(run, tmp_path, results):
    done = run("report", tmp_path)
    assert done.code == 2 and str(tmp_path) in done.err and "verillm experiment run" in done.err
    for text in ("{", "[]", "{}"):
        (tmp_path / "verification.json").write_text(text)
        done = run("report", tmp_path / "verification.json")
        assert done.code == 2 and str(tmp_path / "verification.json") in done.err, text
    (tmp_path / "m_a_to_b_summary.json").write_text("{\"model\": 1}")
    done = run("report", tmp_path)
    assert done.code == 2 and "not as this version writes them" in done.err
    assert not list(tmp_path.glob("*.html"))


def test_recorded_inference_is_to_be_verified_first(run, trace):
    done = run("report", trace)
    assert done.code == 2 and str(trace) in done.err and "verillm verify" in done.err


def test_missing_gnuplot_is_named(run, results, tmp_path):
    done = run("report", results, "--out", tmp_path / "page.html", env={**os.environ, "PATH": str(tmp_path)})
    assert done.code == 2 and "gnuplot-nox" in done.err and not (tmp_path / "page.html").exists()


def test_texts_stay_texts(chromium, run, results, tmp_path):
    """Names and prompts may hold anything; none of it runs, or changes the figures."""
    hostile = "<img src=x onerror=\"console.log('ran')\">'\\n`id`"
    for path in results.glob("*.json"):
        content = json.loads(path.read_text())
        for trial in content.get("trials", [content]):
            trial["prompt"] = trial["inference_device"] = hostile
        content["title"] = content["inference_device"] = hostile
        (tmp_path / path.name).write_text(json.dumps(content))
    done = run("report", tmp_path)
    assert done.code == 0, done.err
    chromium.open(tmp_path / "report.html", 1400)
    assert chromium.complaints() == [] and chromium.requests() <= {"file", "data"}
    assert chromium.evaluate("document.querySelectorAll('img, script').length") == 0
    assert chromium.evaluate("document.querySelector('h1').textContent") == hostile


def test_pictures_for_the_documentation(chromium, experiment_page):
    folder = os.environ.get("VERILLM_PICTURES")
    if not folder:
        pytest.skip("VERILLM_PICTURES names no folder")
    for name, width, scheme, selector in (("report.png", 1400, "light", ".figures:has(#roc-cheats)"), ("report-phone.png", 400, "dark", "#pe-by-depth-cheats")):
        chromium.open(experiment_page, width, scheme)
        chromium.picture(Path(folder) / name, selector)
