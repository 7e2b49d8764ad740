"""`stars plots`: a page that draws without a network, or says what it needs."""

import importlib.util
import re

import pytest
from browser import needs_chromium, visit
from helpers import run, stars
from small import dvc

from yelp_stars.commands import plots

pytestmark = pytest.mark.slow

DRAWN = """
new Promise(done => setTimeout(() => done([
  document.querySelectorAll("main canvas, main svg").length,
  document.querySelectorAll("main > div").length,
]), 1500))
"""


@needs_chromium
def test_the_page_draws_every_plot_without_a_request(repo):
    output = run("stars", "plots", cwd=repo)
    page = repo / "dvc_plots" / "index.html"
    assert page.as_uri() in output
    assert plots.HINT not in output
    seen = visit(page.as_uri(), DRAWN)
    drawn, expected = seen.results[0]
    assert drawn >= expected >= 9
    assert seen.requests == [page.as_uri()]
    warnings = ("['WARN'", "['The compiled spec uses Vega v5")  # about DVC's templates
    assert [line for line in seen.console if not line.startswith(warnings)] == []


def test_several_revisions_are_drawn_together(repo, monkeypatch):
    monkeypatch.chdir(repo)
    curve = repo / "plots" / "training" / "train_loss.tsv"
    curve.write_text(curve.read_text().replace("1.", "2."))
    dvc("exp", "save", "-q", "-n", "slow")
    assert stars("plots", "HEAD", "slow") == 0
    page = (repo / "dvc_plots" / "index.html").read_text("utf-8")
    assert '"rev": "HEAD"' in page
    assert '"rev": "slow"' in page
    assert not re.search(r'<script[^>]+src="http', page)
    for nothing in ("nowhere", "--help"):
        message = stars("plots", "--", "HEAD", nothing)
        assert message == "error: `dvc plots` failed; its error is above"


def test_without_the_extra_it_is_dvcs_own_page_and_one_line_says_how(repo, monkeypatch, capsys):
    monkeypatch.chdir(repo)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "vl_convert" else found(name, *more),
    )
    assert stars("plots") == 0
    assert capsys.readouterr().out.splitlines()[-1] == plots.HINT
    assert "cdn.jsdelivr.net" in (repo / "dvc_plots" / "index.html").read_text("utf-8")
