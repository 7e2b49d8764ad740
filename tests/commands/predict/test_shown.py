"""What is printed: a table that fits, text as text, scores with their interval."""

from yelp_stars.commands.predict import shown
from yelp_stars.commands.predict.windows import Tally

HOSTILE = ["\x1b[31mred", "[bold]x[/bold]", "a\nb\r\u2028c", "x" * 10_000, "\u202egnp", ":smile:"]


def test_the_table_shows_text_as_text_and_fits(capsys):
    row = {"stars": "5 stars", "probability": 0.91234, "range": ["4 stars", "5 stars"]}
    shown.print_rows(HOSTILE, [row] * len(HOSTILE), "")
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(HOSTILE)
    for line, text in zip(lines, HOSTILE):
        assert line.isprintable()
        assert len(line) <= 80
        assert line.startswith("5 stars        0.912  4 stars to 5 stars")
        assert text in line or text not in ("[bold]x[/bold]", ":smile:")


def test_a_model_without_ranges_and_a_prefix_are_shown_alike(capsys):
    shown.print_rows(["a"], [{"x_stars": "bad", "x_probability": 1.0}], "x_")
    assert "bad          1.000" in capsys.readouterr().out


def test_the_summary_counts_and_scores():
    tally = Tally(10, 3, 4, 5.0, [[4, 1], [0, 3]])
    assert shown.summary(tally, True, 0.6, 128) == [
        "3 of 10 texts are longer than 128 tokens and were cut",
        "4 of 10 rows are below 0.6",
        "accuracy 0.9 [0.5, 1.0], mean error 0.125 stars, log loss 0.625 on 8 rows with a label",
    ]
    assert "stars" not in shown.summary(tally, False, None, 128)[1]
    assert shown.summary(Tally(0, 0, 0, 0.0, [[0, 0]] * 2), True, None, 128) == []


def test_the_rate_has_its_rows_and_seconds():
    assert shown.rate(1000, 50.0) == "1,000 rows in 50 s, 20 rows/s"
    assert shown.rate(3, 0.25) == "3 rows in 0.2 s, 12 rows/s"
    assert shown.rate(0, 0.0) == "0 rows in 0.0 s, 0 rows/s"
