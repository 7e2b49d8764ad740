"""Choose the unlabelled rows that are most worth a person's time, and write them."""

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from sklearn.cluster import KMeans

from yelp_stars.classifier.classify import Classifier
from yelp_stars.classifier.origin import read_origin
from yelp_stars.data import arrow
from yelp_stars.evaluation import predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import counted, visible
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.lines import read_lines, skip_mark
from yelp_stars.reading.origin import Origin
from yelp_stars.reading.unpacking import open_bytes

MODEL, RAW = Path("models/finetuned"), Path("data/raw")
UNLABELLED, EXTERNAL = Path("data/unlabelled.parquet"), Path("data/external")
POOL = 2_000  # rows to choose from, drawn at random: minutes on two cores
SHORTLIST = 10  # times the rows to print: the least sure ones, to spread these over


def run(rows: int, output: Path | None, seed: int) -> None:
    """Print `rows` rows, or write them to a file."""
    for path in (MODEL, UNLABELLED, RAW):
        if not path.exists():
            raise UserError(f"no {str(path)!r} yet; run `make repro`")
    texts, kind = pool(seed)
    if not texts:
        advice = "set {setting} to 'keep', and add rows without a label to your file"
        setting = "download.unlabelled"
        raise UserError("no text is left to label", setting=setting, advice=advice)
    chosen = worth_labelling(*Classifier(MODEL, "auto", None, None).look(texts), rows, seed)
    origin = read_origin(MODEL)
    text, encoding = written([texts[row] for row in chosen], origin)
    if output is None:
        # A text is anybody's: a terminal must not obey it.
        print(visible(text, len(text)) if sys.stdout.isatty() else text, end="")
    else:
        output.write_bytes(text.encode(encoding))
    print(f"{len(chosen)} of {counted(len(texts), *kind)}", file=sys.stderr)


def worth_labelling(margins: np.ndarray, features: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Choose up to `rows` rows, the least sure first: int, (rows,).

    `margins` are the differences of the two largest probabilities, (n,); `features` what the last
    layer reads, (n, size). The least sure rows are clustered, weighted by how unsure they are; of
    each cluster, the row nearest to its center is chosen.
    """
    least = np.argsort(margins, kind="stable")[: SHORTLIST * rows]
    if len(least) <= rows:
        return least
    clusters = KMeans(rows, n_init=1, random_state=seed)
    distances = clusters.fit_transform(features[least], sample_weight=1.001 - margins[least])
    return least[np.unique(distances.argmin(axis=0))]


def pool(seed: int) -> tuple[list[str], tuple[str, str]]:
    """Draw texts without a label, each once, and say what they are."""
    train, test = (arrow.read(RAW / f"{split}.arrow")["text"] for split in ("train", "test"))
    texts = predictions.read_table(UNLABELLED, {"text": pa.large_string()})["text"]
    kind = ("row without a label", "rows without a label")
    if len(texts):  # those that have been labelled since are still in the file
        for labelled in (train, test):
            texts = texts.filter(pa.compute.invert(pa.compute.is_in(texts, value_set=labelled)))
    else:
        kind = ("row outside of the sample", "rows outside of the sample")
        # Validation rows drawn from the test split leave out a few training rows more than needed.
        sampled = [
            arrow.read(Path(f"data/sample/{name}.arrow"))["row"].to_numpy()
            for name in ("train", "validation")
        ]
        rest = np.setdiff1d(np.arange(len(train)), np.concatenate(sampled))
        texts = train.take(rest)
    texts = texts.unique()
    drawn = np.random.default_rng(seed).permutation(len(texts))[:POOL]
    return texts.take(np.sort(drawn)).to_pylist(), kind


def written(texts: list[str], origin: Origin) -> tuple[str, str]:
    """Write rows in the format of the training file, with empty labels; and name its encoding."""
    text, label = str(origin.text_column), str(origin.label_column)
    names, stated, encoding = _first_lines(origin)
    if not names and isinstance(origin.text_column, int):  # the columns up to both
        names = [*map(str, range(max(origin.text_column, int(label)) + 1))]
    names = names or [text, label]
    if origin.ending in (".jsonl", ".ndjson", ".json"):
        rows = [{**dict.fromkeys(names), text: each, label: None} for each in texts]
        # Escapes hold what another encoding cannot.
        escape = not encoding.startswith("utf")
        return "".join(f"{json.dumps(row, ensure_ascii=escape)}\n" for row in rows), encoding
    written, is_tsv = io.StringIO(newline=""), origin.ending == ".tsv"
    delimiter = stated or origin.delimiter or ("\t" if is_tsv else ",")
    quotes = not is_tsv if origin.quoted is None else origin.quoted
    if not quotes:
        texts = [_on_one_line(each, delimiter, "\\n" if origin.unescape else " ") for each in texts]
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    writer = csv.DictWriter(
        written, names, "", delimiter=delimiter, lineterminator="\n", quoting=quoting,
        quotechar='"' if quotes else None,
    )  # fmt: skip
    if isinstance(origin.text_column, str):
        writer.writeheader()
    writer.writerows({text: each} for each in texts)
    return written.getvalue(), encoding


def _on_one_line(text: str, delimiter: str, newline: str) -> str:
    """Write a text for a file whose fields have no quotes."""
    return text.replace("\r", "").replace("\n", newline).replace(delimiter, " ")


def _first_lines(origin: Origin) -> tuple[list[str], str, str]:
    """Return the columns of the training file, the separator that it states, and its encoding.

    Without the file, there are no columns, and the encoding is that of the params.
    """
    layout = Layout(origin.text_column, None, origin.encoding, origin.delimiter, origin.quoted)
    with contextlib.suppress(UserError, OSError, LookupError, TypeError, UnicodeError):
        file = EXTERNAL / read_yaml(Path("params.yaml"))["download"]["train_file"]
        row = next(readers.rows(file, layout._replace(all_columns=True)))
        with open_bytes(file) as stream:
            encoding = skip_mark(stream, origin.encoding)
            lines = read_lines(stream, str(file), layout._replace(encoding=encoding))
            stated = readers.STATED.fullmatch(next(lines))
        return [*(row.fields or {})], stated[1] if stated else "", encoding
    return [], "", origin.encoding
