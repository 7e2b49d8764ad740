"""`stars seeds`: every seed once, and what they say about a comparison."""

import re

import numpy as np
import pytest
from helpers import run, stars

from yelp_stars.commands.search import repeats


@pytest.mark.slow
def test_seeds_are_run_once_and_their_spread_is_printed(toy_project, capfd):
    assert stars("seeds", "2") == 0
    assert stars("seeds", "2") == 0
    shown = capfd.readouterr().out
    names = re.findall(r"^(seeds-\w{8}-\d+), in a copy", shown, re.M)
    assert [name[-2:] for name in names] == ["42", "43"]
    table = shown.split("differ only in train.seed: ")[2]
    assert table.startswith(", ".join(names))
    validation = re.search(r"^validation +0\.\d{3} +0\.\d{3} +0\.\d{3} +0\.\d{3} +500", table, re.M)
    assert validation
    assert re.search(r"^test .* 400", table, re.M)
    assert "2 seeds of each side and 400 rows show" in table
    assert run("git", "status", "--porcelain", cwd=toy_project) == ""


def test_the_advice_has_both_differences():
    right = np.zeros((3, 1000), bool)
    for seed in range(3):
        right[seed, seed * 10 : 600] = True
    shown = repeats.advice(right)
    assert "differ by up to 6.1 points on the test rows" in shown
    assert re.search(r"3 seeds of each side and 1,000 rows show, .*: \d+\.\d points\.$", shown)


def test_a_number_of_seeds_out_of_range_is_refused(capsys):
    assert stars("seeds", "1") == 2
    assert "Invalid value" in capsys.readouterr().err
