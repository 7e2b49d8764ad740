"""Fine-tune the checkpoint on the sample, with Hugging Face's Trainer."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from stars.params import StageParams, load_params
from stars.stage import UserError, replacing, run, write_json

if TYPE_CHECKING:  # importing them takes ten seconds, checking params.yaml must not
    import torch
    from transformers import PreTrainedModel, Trainer, TrainingArguments

Precision = Literal["fp32", "bf16", "auto"]


# The command that dvc.yaml starts this stage with. A shell runs it, after whichever stages run
# before have checked it here.
Launch = Annotated[str, Field(pattern=r"^(python|(torchrun|accelerate launch)( [\w.:=/-]+)*)$")]


class Params(StageParams):
    launch: Launch
    num_train_epochs: PositiveFloat
    learning_rate: PositiveFloat
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    warmup_steps: NonNegativeFloat
    weight_decay: NonNegativeFloat
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    per_device_train_batch_size: PositiveInt
    per_device_eval_batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    train_sampling_strategy: Literal["random", "group_by_length"]
    padding: Literal["longest", "max_length"]
    precision: Precision
    load_best_model_at_end: bool
    logging_steps: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]


def has_bf16() -> bool:
    """Whether this machine computes in bfloat16 faster than in float32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def training_arguments(params: Params, output_dir: Path) -> "TrainingArguments":
    """Our section of params.yaml as TrainingArguments; the names are theirs."""
    import torch
    from transformers import TrainingArguments

    ours = {"launch", "layer_decay", "padding", "precision"}
    bf16 = params.precision == "bf16" or (params.precision == "auto" and has_bf16())
    return TrainingArguments(
        output_dir=str(output_dir),
        **params.model_dump(exclude=ours),
        bf16=bf16,
        use_cpu=not torch.accelerator.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        eval_strategy="epoch",
        save_strategy="epoch" if params.load_best_model_at_end else "no",
        save_total_limit=1,
        metric_for_best_model="accuracy",
        logging_nan_inf_filter=False,  # it shows the mean so far instead
    )


def load_model(pretrained: Path, names: list[str], seed: int) -> "PreTrainedModel":
    """The checkpoint with a new classification head, drawn by `seed`."""
    from transformers import AutoModelForSequenceClassification, set_seed

    set_seed(seed)  # before the head is made: Trainer's own seeding comes after it
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        pretrained,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: label for label, name in enumerate(names)},
    )
    return model


def parameter_groups(
    model: "torch.nn.Module", learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameters for AdamW; each layer learns `layer_decay` times as fast as the one above it.

    The head and the pooler learn at `learning_rate`, the embeddings slowest; biases and norms do
    not decay. Sun et al. 2019, section 5.3.4 (there: 0.95).
    """
    numbers = [
        int(found.group(1)) if (found := re.search(r"\.layers?\.(\d+)\.", name)) else None
        for name, _ in model.named_parameters()
    ]
    layers = max((number for number in numbers if number is not None), default=-1) + 1
    if not layers:
        raise UserError("this checkpoint's layers have no numbers; set train.layer_decay to 1.0")
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for (name, parameter), number in zip(model.named_parameters(), numbers, strict=True):
        depth = 0 if "embeddings" in name else layers + 1 if number is None else number + 1
        decays = parameter.ndim > 1
        group = groups.setdefault(
            (depth, decays),
            {
                "params": [],
                "lr": learning_rate * layer_decay ** (layers + 1 - depth),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def make_trainer(
    params: Params, pretrained: Path, sampled: Path, checkpoints: Path, callbacks: list[Any]
) -> tuple["Trainer", int]:
    """The Trainer with model, data, optimizer and metrics; and the tokens of a full row."""
    import evaluate
    import numpy as np
    import torch
    from transformers import PrinterCallback, ProgressCallback, Trainer

    from stars import arrow, batching, evaluate_module, progress

    train = arrow.read(sampled / "train.arrow")
    validation = arrow.read(sampled / "validation.arrow")
    model = load_model(pretrained, arrow.label_names(train.schema), params.seed)
    args = training_arguments(params, checkpoints)
    examples = batching.Examples(train)
    # In order of length, evaluation pads next to nothing; the scores do not see the order.
    lengths = arrow.Lists(validation["input_ids"]).lengths
    by_length = batching.Examples(validation, np.argsort(lengths, kind="stable"))
    metric = evaluate.load(evaluate_module.__file__, keep_in_memory=True)
    max_length: int = json.loads(train.schema.metadata[b"max_length"])
    pad_id = model.config.pad_token_id
    if pad_id is None:
        raise UserError("this checkpoint has no padding token; choose an encoder, such as BERT")

    class GroupedTrainer(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if params.train_sampling_strategy == "random":
                return super()._get_train_sampler(train_dataset)
            batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            return batching.LengthGroupedSampler(examples.lengths, batch, params.seed)

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        return batching.pad(batch, pad_id, max_length if params.padding == "max_length" else None)

    def compute_metrics(evaluated: Any) -> dict[str, Any]:
        if not np.isfinite(evaluated.predictions).all():
            raise progress.diverged(trainer.state.global_step)
        scores = metric.compute(predictions=evaluated.predictions, references=evaluated.label_ids)
        return {key: value for key, value in scores.items() if key != "loss"}

    optimizer = None
    if params.layer_decay < 1:
        groups = parameter_groups(
            model, params.learning_rate, params.weight_decay, params.layer_decay
        )
        optimizer = torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)
    trainer = GroupedTrainer(
        model=model,
        args=args,
        data_collator=collate,
        train_dataset=examples,
        eval_dataset=by_length,
        compute_metrics=compute_metrics,
        optimizers=(optimizer, None),
        callbacks=callbacks,
    )
    # transformers#47688: BERT's loss ignores num_items_in_batch, and would come out multiplied by
    # gradient_accumulation_steps and by the number of processes.
    trainer.model_accepts_loss_kwargs = False
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    return trainer, max_length


def describe(params: Params, trainer: "Trainer", max_length: int) -> str:
    """What is about to be trained, and on what."""
    import numpy as np

    from stars import batching

    lengths = trainer.train_dataset.lengths  # type: ignore[union-attr]
    order, size = np.arange(len(lengths)), params.per_device_train_batch_size
    if params.train_sampling_strategy == "group_by_length":
        grouped = size * params.gradient_accumulation_steps * trainer.args.world_size
        order = batching.length_grouped(lengths, grouped, params.seed, 0)
    if params.padding == "max_length":
        padding = 1 - lengths.mean() / max_length
    else:
        padding = batching.padding_share(lengths, order, size)
    weights = sum(parameter.numel() for parameter in trainer.model.parameters())  # type: ignore[union-attr]
    precision = "bf16" if trainer.args.bf16 else "fp32"
    return (
        f"{len(lengths):,} rows, {int(lengths.sum()):,} tokens, {padding:.1%} padding; "
        f"{weights / 1e6:.1f}M parameters in {precision} on {trainer.args.device}"
    )


def save(trainer: "Trainer", pretrained: Path, target: Path, max_length: int) -> None:
    """Write a folder that plain `from_pretrained` loads: safetensors, config, tokenizer."""
    from transformers import AutoTokenizer

    trainer.model.save_pretrained(target)  # type: ignore[union-attr]
    tokenizer = AutoTokenizer.from_pretrained(pretrained, model_max_length=max_length)
    # all-MiniLM's file cuts and pads to 128 whatever it is asked: a user of our model decides.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(target)


def write_curves(trainer: "Trainer", folder: Path) -> None:
    """The curves as TSV and as a picture, the resolved arguments and the trainer's state."""
    from stars import pictures, progress

    folder.mkdir()
    curves = progress.curves(trainer.state.log_history)
    for name, pairs in curves.items():
        title = name.replace("/", "_")
        lines = [f"step\t{name.split('/')[1]}", *(f"{step}\t{value}" for step, value in pairs)]
        (folder / f"{title}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pictures.training_curves(curves, folder / "training.svg")
    arguments = trainer.args.to_dict()
    for place in ("output_dir", "run_name"):  # names of this machine, not of this run
        arguments.pop(place, None)
    write_json(folder / "arguments.json", arguments)
    state = dataclasses.asdict(trainer.state)
    state["log_history"] = [progress.without_times(entry) for entry in state["log_history"]]
    for place in ("best_model_checkpoint", "stateful_callbacks"):
        state.pop(place)
    write_json(folder / "state.json", state)


def validation_scores(trainer: "Trainer") -> dict[str, Any]:
    """The validation scores of the model that is kept: the last epoch's, or the best one's."""
    from stars import progress

    evaluated = [entry for entry in trainer.state.log_history if "eval_accuracy" in entry]
    entry = evaluated[-1]
    if trainer.args.load_best_model_at_end:
        entry = max(evaluated, key=lambda entry: entry["eval_accuracy"])
    ours = {key.removeprefix("eval_"): entry[key] for key in progress.without_times(entry)}
    return {key: value for key, value in ours.items() if key not in ("epoch", "step")}


@contextlib.contextmanager
def cleared(checkpoints: Path, logs: Path) -> Iterator[None]:
    """Remove the checkpoints in the end; and the live logs, if the training fails."""
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    try:
        yield
    except BaseException:
        if first:
            shutil.rmtree(logs, ignore_errors=True)
        raise
    finally:
        if first:
            shutil.rmtree(checkpoints, ignore_errors=True)


def main(
    sampled: Path, pretrained: Path, finetuned: Path, logs: Path, plots: Path, validation: Path
) -> None:
    params = load_params(Params, "train")
    if params.precision == "bf16" and not has_bf16():
        raise UserError(
            "train.precision is 'bf16', but this machine has no hardware for it; "
            "set it to 'fp32' or 'auto'"
        )
    from transformers.utils import logging

    from stars import progress

    # The checkpoint's loading has a bar of its own, and a table that says the head is new.
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    checkpoints = finetuned.with_name("checkpoints")
    with cleared(checkpoints, logs):
        with closing(progress.Progress()) as bar, closing(progress.LiveCurves(logs)) as live:
            trainer, max_length = make_trainer(
                params, pretrained, sampled, checkpoints, [bar, live]
            )
            if trainer.is_world_process_zero():
                print(describe(params, trainer, max_length), flush=True)
            started = time.monotonic()
            trainer.train()
            seconds = time.monotonic() - started
        if trainer.is_world_process_zero():
            scores = validation_scores(trainer)
            with replacing(finetuned) as model, replacing(plots) as curves:
                save(trainer, pretrained, model, max_length)
                write_curves(trainer, curves)
                write_json(validation, scores)
            # Durations differ on every run: they stay out of what git keeps.
            rows = len(trainer.train_dataset) * params.num_train_epochs / seconds  # type: ignore[arg-type]
            write_json(logs / "runtime.json", {"seconds": seconds, "rows_per_second": rows})
            print(
                f"trained in {seconds:.0f} s, {rows:.1f} rows/s; validation accuracy "
                f"{scores['accuracy']:.3f} "
                f"[{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}] "
                f"on {scores['n']:,} rows"
            )
        # A process that leaves before the others have done may take them with it.
        trainer.accelerator.wait_for_everyone()
        trainer.accelerator.end_training()


if __name__ == "__main__":
    run(main)
