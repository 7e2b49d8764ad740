"""Text made safe to print: bounded, every character visible, counts that agree."""

from yelp_stars.pipeline.text import counted, visible


def test_what_turns_text_around_is_shown_as_a_code():
    assert (
        visible("good \u202edoog\u202c\u0000\ufeff", 600) == "good \\u202edoog\\u202c\\u0000\\ufeff"
    )
    assert visible("line\nnext\tcell é 好 👩‍🍳", 600) == "line\nnext\tcell é 好 👩‍🍳"
    invisible = "\xad\u2028\u3164\U000e0041"
    assert visible(invisible, 600) == "\\u00ad\\u2028\\u3164\\ue0041"
    assert len(visible("\u202e" * 50_000, 600)) == 600
    assert visible("x" * 50_000, 600) == "x" * (599) + "…"


def test_a_count_agrees_with_its_noun():
    written = [counted(count, "row") for count in (0, 1, 2, 12_345)]
    assert written == ["0 rows", "1 row", "2 rows", "12,345 rows"]
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
