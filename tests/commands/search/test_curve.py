"""`stars curve`: which sizes it runs, and what it prints."""

import numpy as np
import pytest
from helpers import ROOT, documented, soak, stars

from yelp_stars.commands.search import curve, learning_curve
from yelp_stars.data.sampling import Params, check_sizes
from yelp_stars.pipeline.yaml_file import read_yaml


def test_the_guide_names_sizes_that_the_quickstart_has():
    params = read_yaml(ROOT / "presets" / "quickstart.yaml")
    (command,) = documented("search.md", "Learning curve")
    sizes = command.split()[2:-2]
    assert len(sizes) == curve.FEWEST
    rows = params["download"]["train_size"], params["download"]["test_size"]
    for size in sizes:
        check_sizes(*rows, Params(**{**params["sample"], "train_size": int(size)}))


def test_extrapolated_accuracies_are_labelled_as_such(capsys):
    difficulty = np.random.default_rng(0).random(500)
    groups = {n: np.stack([difficulty > 4 * n**-0.6] * 2) for n in (250, 500, 1000, 2000)}
    curve.show(learning_curve.extrapolate(groups, curve.FACTORS), 2, 500, 0.01)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    labelled = {line[0]: line[-1] for line in lines if line[-1:] in (["seeds"], ["extrapolated"])}
    assert labelled == {
        **dict.fromkeys(["250", "500", "1,000", "2,000"], "seeds"),
        **dict.fromkeys(["4,000", "20,000"], "extrapolated"),
    }
    assert "fitted on 500 test rows: error = 0." in shown
    assert "whether more data is worth it: " in shown or "More data is " in shown


@pytest.mark.slow
def test_too_few_sizes_and_all_rows_are_one_line(toy_project):
    for sizes in (["100", "200", "400"], ["1", "2", "3", "0"]):
        message = stars("curve", *sizes)
        assert message.startswith("error: the sizes are [")
        assert message.endswith("4 different ones or more are needed")
    message = "error: sample.train_size is 'all'; set a number, at most the "
    message += "rows that the validation sample leaves, such as -S sample.train_size=10000"
    assert stars("curve", "-S", "sample.train_size=all") == message


@pytest.mark.slow
@soak
def test_a_curve_is_measured_and_extrapolated(toy_project, capfd):
    assert stars("curve") == 0
    shown = capfd.readouterr().out
    far = next(line for line in shown.splitlines() if line.strip().startswith("20,000"))
    low, high = (float(far.split()[place]) for place in (2, 4))
    assert low <= 0.9 - 0.2 * 0.523**2 - 4 * 20000**-0.6 <= high  # as toy.py has it
    assert stars("curve") == 0
    assert "in a copy" not in capfd.readouterr().out  # nothing ran again
