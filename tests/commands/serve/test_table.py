"""A CSV file: the columns of `stars predict`, and one line about what it is not."""

import csv
import io

import pytest
from helpers import FUZZ_EXAMPLES, result_or_line, stars
from hypothesis import example, given, settings
from hypothesis import strategies as st
from serving import ask

from yelp_stars import load_classifier
from yelp_stars.commands.serve.table import MAX_ROWS, predict, read
from yelp_stars.pipeline.errors import BadRow
from yelp_stars.reading.origin import NO_FILE

TEXTS = ["good", 'a "quote", and a\nline', "=1+1", "long " * 99, "schön", "bad"]


def written(columns, rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([columns, *rows])
    return file.getvalue().encode()


@pytest.fixture(scope="module")
def classify(folder):
    return load_classifier(folder, precision="fp32")


@pytest.mark.slow
def test_it_has_the_bytes_of_stars_predict(classify, folder, tmp_path):
    content = written(["id", "text"], enumerate(TEXTS))
    (tmp_path / "a.csv").write_bytes(content)
    options = ("--model", str(folder), "--precision", "fp32", "-o", str(tmp_path / "b.csv"))
    assert stars("predict", str(tmp_path / "a.csv"), *options) == 0
    header, rows = read(content, NO_FILE)
    found = b"".join(predict(classify, header, rows, len(TEXTS)))
    assert found == (tmp_path / "b.csv").read_bytes()


@pytest.mark.slow
def test_parts_change_nothing_that_a_label_tells(classify):
    header, rows = read(written(["text"], zip(TEXTS)), NO_FILE)
    both = [b"".join(predict(classify, header, rows, n)).decode() for n in (1, 99)]
    first, second = (list(csv.DictReader(io.StringIO(one, newline=""))) for one in both)
    assert [row["text"] for row in first] == TEXTS
    for a, b in zip(first, second, strict=True):
        assert float(a.pop("probability")) == pytest.approx(float(b.pop("probability")), abs=1e-5)
        for label in classify.label_names:
            assert float(a.pop(f"p_{label}")) == pytest.approx(float(b.pop(f"p_{label}")), abs=1e-5)
        assert a == b


@pytest.mark.slow
def test_columns_of_its_own_are_kept(classify):
    header = ["stars", "text", "predicted_probability"]
    content = written(header, [["5", "good", "1"]])
    columns, *_ = csv.reader(
        b"".join(predict(classify, *read(content, NO_FILE), 9)).decode().split()
    )
    assert columns[:3] == header
    assert columns[3:5] == ["predicted_predicted_stars", "predicted_predicted_probability"]


@pytest.mark.parametrize(("quoted", "shown"), [(None, "a\\nb"), (False, '"a\\nb"')])
def test_it_is_read_as_the_training_file_was(quoted, shown):
    origin = NO_FILE._replace(ending=".csv", text_column="review", delimiter=";", unescape=True)
    content = b'\xef\xbb\xbfid;review\n1;"a\\nb"\n\n'
    header, (row,) = read(content, origin._replace(quoted=quoted))
    assert header == ["id", "review"]
    assert (row.text, row.fields) == (shown.replace("\\n", "\n"), {"id": "1", "review": shown})


def test_a_first_line_states_the_separator():
    header, (row,) = read(b"sep=;\r\nid;text\r\n1;good\r\n", NO_FILE)
    assert (header, row.text, row.location) == (["id", "text"], "good", "line 3")


def test_a_text_is_as_long_as_a_request():
    _, (row,) = read(b"text\n" + b"a" * 900_000, NO_FILE)
    assert len(row.text) == 900_000


@pytest.mark.parametrize(
    ("content", "location", "problem"),
    [
        (b"", "the file", "needs the column 'text', and each once; it has nothing"),
        (b"a,b\n1,2\n", "the file", "needs the column 'text', and each once; it has 'a', 'b'"),
        (b"text,text\n", "the file", "needs the column 'text', and each once; it has 'text', 'te"),
        (b"text\n", "the file", "has no rows; the limit is 1000"),
        (b"text\n" + b"a\n" * (MAX_ROWS + 1), "the file", "has too many rows; the limit is 1000"),
        (b"text,id\na\n", "line 2", "has 1 columns, not 2"),
        (b"text,id\na,1\n\n ,2\n", "line 4", "has an empty text"),
        (b"text\na\0b\n", "line 2", "has a NUL byte in its text"),
        (b'text\n"a" b\n', "the file", "is not CSV in UTF-8 ("),
        ("text\nschön\n".encode("latin-1"), "the file", "is not CSV in UTF-8 ("),
        ("text\na\n".encode("utf-16"), "the file", "is not CSV in UTF-8 ("),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_one_line(content, location, problem):
    with pytest.raises(BadRow) as caught:
        read(content, NO_FILE)
    assert caught.value.location == location
    assert caught.value.problem.startswith(problem)


NAMES = b"text," + b",".join(b"%d" % number for number in range(150_000))


@settings(max_examples=FUZZ_EXAMPLES)
@given(st.binary(max_size=300).map(lambda content: b"text\n" + content) | st.binary(max_size=300))
@example(NAMES)
@example(NAMES + b",1\n")  # twice: found without comparing each name with each
def test_any_bytes_are_rows_or_one_line(content):
    found = result_or_line(lambda: read(content, NO_FILE))
    if not isinstance(found, str):
        header, rows = found
        assert "text" in header
        assert 0 < len(rows) <= MAX_ROWS


@pytest.mark.slow
def test_it_is_posted_as_csv_alone(port):
    body = written(["text"], zip(TEXTS * 4))  # more rows than the server computes at a time
    status, content = ask(port, "POST", "/csv", body, {"Content-Type": "text/csv; charset=utf-8"})
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [row["text"] for row in rows] == TEXTS * 4
    # What a page of another site may send without asking.
    for kind in ("text/plain", "multipart/form-data; boundary=a", "application/json", ""):
        assert ask(port, "POST", "/csv", body, {"Content-Type": kind} if kind else {})[0] == 415
    assert ask(port, "POST", "/csv", b"a\n1\n", {"Content-Type": "text/csv"})[0] == 422
