"""Fine-tune the checkpoint on the sample, with Hugging Face's Trainer."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stars.params import StageParams, load_params
from stars.precision import Precision, attention_in, computed_in
from stars.stage import UserError, replacing, run, write_json

if TYPE_CHECKING:  # importing them takes ten seconds, checking params.yaml must not
    import torch
    from transformers import PreTrainedModel, Trainer, TrainingArguments

WORD = r" [\w.:=/-]+"


class Params(StageParams):
    # The command that dvc.yaml starts this stage with. A shell runs it, after whichever stages run
    # before have checked it here.
    launch: Annotated[
        str,
        Field(pattern=rf"^(python|(srun({WORD})* )?(torchrun|accelerate launch)({WORD})*)$"),
    ]
    intermediate_reviews: NonNegativeInt
    frozen_layers: NonNegativeInt
    num_train_epochs: PositiveFloat
    learning_rate: PositiveFloat
    head_learning_rate: PositiveFloat
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    warmup_steps: NonNegativeFloat
    weight_decay: NonNegativeFloat
    attention_dropout: Annotated[float, Field(ge=0, lt=1)]
    per_device_train_batch_size: PositiveInt
    per_device_eval_batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    activation_checkpointing: bool
    torch_compile: bool
    tf32: bool
    train_sampling_strategy: Literal["random", "group_by_length"]
    padding: Literal["longest", "max_length"]
    precision: Precision
    load_best_model_at_end: bool
    save_steps: PositiveInt
    logging_steps: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]


def training_arguments(params: Params, output_dir: Path) -> "TrainingArguments":
    """Our section of params.yaml as TrainingArguments; the names are theirs."""
    import torch
    from transformers import TrainingArguments
    from transformers.utils import is_torch_tf32_available

    ours = {
        "launch", "intermediate_reviews", "frozen_layers", "head_learning_rate",
        "attention_dropout", "padding", "precision",
    }  # fmt: skip
    precision, _ = computed_in(params.precision, "train")
    if params.tf32 and not is_torch_tf32_available():
        raise UserError("train.tf32 is true, but no GPU here has it (Ampere has); set it to false")
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        # One process on several GPUs is DataParallel: slow, in fp32 whatever one asks for, and
        # with random numbers that no checkpoint keeps.
        raise UserError(
            f"this machine has {torch.cuda.device_count()} GPUs; set train.launch to 'torchrun "
            f"--nproc-per-node {torch.cuda.device_count()}', or CUDA_VISIBLE_DEVICES=0 to use one"
        )
    return TrainingArguments(
        output_dir=str(output_dir),
        **params.model_dump(exclude=ours),
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.accelerator.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        include_num_input_tokens_seen="non_padding",
        eval_strategy="epoch",
        save_strategy="epoch",  # and between, see stars/checkpoints.py
        save_total_limit=3 if params.load_best_model_at_end else 2,  # one to fall back to
        metric_for_best_model="accuracy",
        logging_nan_inf_filter=False,  # it shows the mean so far instead
    )


def adamw(model: "PreTrainedModel", params: Params) -> "torch.optim.Optimizer":
    """AdamW with a learning rate of its own for the head."""
    import torch

    from stars.model import parameter_groups

    groups = parameter_groups(
        model,
        learning_rate=params.learning_rate,
        head_learning_rate=params.head_learning_rate,
        weight_decay=params.weight_decay,
    )
    return torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)


def make_trainer(
    params: Params, pretrained: Path, sampled: Path, checkpoints: Path, callbacks: list[Any]
) -> tuple["Trainer", int]:
    """The Trainer with model, data, optimizer and metrics; and the tokens of a full row."""
    import evaluate
    import numpy as np
    from transformers import PrinterCallback, ProgressCallback, Trainer

    from stars import arrow, batching, evaluate_module, progress
    from stars.checkpoints import saving
    from stars.model import freeze, load_model

    train = arrow.read(sampled / "train.arrow")
    validation = arrow.read(sampled / "validation.arrow")
    names = arrow.label_names(train.schema)
    args = training_arguments(params, checkpoints)
    attention = attention_in(computed_in(params.precision, "train")[0])
    model = load_model(pretrained, names, params.seed, params.attention_dropout, attention)
    freeze(model, params.frozen_layers)
    examples = batching.Examples(train)
    # In order of length, evaluation pads next to nothing; the scores do not see the order.
    lengths = arrow.Lists(validation["input_ids"]).lengths
    by_length = batching.Examples(validation, np.argsort(lengths, kind="stable"))
    metric = evaluate.load(evaluate_module.__file__, keep_in_memory=True)
    max_length: int = json.loads(train.schema.metadata[b"max_length"])
    width = max_length if params.padding == "max_length" else None

    step_rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    grouped = batching.LengthGroupedSampler(examples.lengths, step_rows, params.seed)

    class StarsTrainer(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if params.train_sampling_strategy == "random":
                return super()._get_train_sampler(train_dataset)
            return grouped

        # What the next point of the loss curve has summed up so far is no part of a checkpoint:
        # a training that goes on would begin that sum anew.
        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            losses = self.accelerator.gather(self._tr_loss).reshape(-1).tolist()  # by process
            sums = {"losses": losses, "since": self._globalstep_last_logged}
            checkpoint = Path(args.output_dir, f"checkpoint-{self.state.global_step}")
            first = self.is_world_process_zero()
            with saving(checkpoint, first, self.accelerator.wait_for_everyone):
                self.state.stateful_callbacks["sums"] = sums
                super()._save_checkpoint(model, trial)
                del self.state.stateful_callbacks["sums"]

        def _run_epoch(self, **kwargs: Any) -> None:
            sums = self.state.stateful_callbacks.pop("sums", None)
            if sums is not None:
                self._tr_loss += sums["losses"][args.process_index]
                self._globalstep_last_logged = sums["since"]
            # accelerate's way to the sampler ends before ours, where it skips batches for one of
            # several processes.
            grouped.set_epoch(kwargs["epoch"])
            if self.state.global_step >= self.state.max_steps:  # saved at the very end
                return
            super()._run_epoch(**kwargs)

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        return batching.pad(batch, model.config.pad_token_id, width)

    def compute_metrics(evaluated: Any) -> dict[str, Any]:
        if not np.isfinite(evaluated.predictions).all():
            raise progress.diverged(trainer.state.global_step)
        scores = metric.compute(predictions=evaluated.predictions, references=evaluated.label_ids)
        return {key: value for key, value in scores.items() if key != "loss"}

    optimizer = None  # Trainer's own is the same, where all parameters learn at one rate
    if params.head_learning_rate != params.learning_rate:
        optimizer = adamw(model, params)
    trainer = StarsTrainer(
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
    import math

    import numpy as np

    from stars import batching

    lengths = trainer.train_dataset.lengths  # type: ignore[union-attr]
    order, size = np.arange(len(lengths)), trainer.args.train_batch_size
    whole = size * params.gradient_accumulation_steps * trainer.args.world_size
    if params.train_sampling_strategy == "group_by_length":
        order = batching.length_grouped(lengths, whole, params.seed, 0)
    if params.padding == "max_length":
        padding = 1 - lengths.mean() / max_length
    else:
        padding = batching.padding_share(lengths, order, size)
    steps = math.ceil(math.ceil(len(lengths) / whole) * params.num_train_epochs)
    parameters = list(trainer.model.parameters())  # type: ignore[union-attr]
    weights = sum(parameter.numel() for parameter in parameters)
    learning = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    frozen = f", {learning / 1e6:.1f}M of them learning," if learning < weights else ""
    precision, why = computed_in(params.precision, "train")
    return (
        f"{len(lengths):,} rows, {int(lengths.sum()):,} tokens, {padding:.1%} padding; "
        f"{steps:,} steps of {whole} rows; {weights / 1e6:.1f}M parameters{frozen} "
        f"in {precision} ({why}) on {trainer.args.device}"
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


def run_key(params: Params, device: str, sentences: Path, sampled: Path, pretrained: Path) -> str:
    """The name of this run's folder of checkpoints: of all that decides its weights."""
    import torch

    from stars import checkpoints

    decides = {
        **params.model_dump(exclude={"launch"}),
        "computed in": computed_in(params.precision, "train")[0],
        "device": [device, torch.accelerator.device_count()],
        "processes": os.environ.get("WORLD_SIZE", "1"),
    }
    here = Path(__file__)
    code = [here, *sorted(here.parents[1].joinpath("stars").glob("*.py"))]
    data = [sampled / "train.arrow", sampled / "validation.arrow", pretrained]
    if params.intermediate_reviews:
        data.append(sentences)
    return checkpoints.key(decides, [*code, *data])


def main(
    sentences: Path,
    sampled: Path,
    pretrained: Path,
    finetuned: Path,
    logs: Path,
    plots: Path,
    validation: Path,
) -> None:
    params = load_params(Params, "train")

    import torch
    from transformers.utils import logging

    from stars import arrow, checkpoints, curves, intermediate, progress
    from stars.memory import keep_freed_memory

    if not torch.accelerator.is_available():
        keep_freed_memory()
    # The checkpoint's loading has a bar of its own, and a table that says the head is new.
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    arrow.schema_of(sampled / "train.arrow")  # tells a missing or damaged file
    device = str(torch.accelerator.current_accelerator(check_available=True) or "cpu")
    saved = Path("checkpoints", run_key(params, device, sentences, sampled, pretrained))
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    newest, damaged = checkpoints.newest(saved)
    keeper = checkpoints.Checkpoints(params.save_steps)
    with (
        removed_on_failure(logs, first),
        closing(progress.Progress()) as bar,
        closing(progress.LiveCurves(logs)) as live,
    ):
        trainer, max_length = make_trainer(params, pretrained, sampled, saved, [bar, live, keeper])
        trainer.accelerator.wait_for_everyone()  # all have looked for the newest
        if first:
            for checkpoint in damaged:
                print(f"{checkpoint} is damaged or not whole: passed over", flush=True)
                shutil.rmtree(checkpoint)
            print(describe(params, trainer, max_length), flush=True)
            if newest is not None:
                print(f"going on from {newest}", flush=True)
        started = time.monotonic()
        if params.intermediate_reviews and newest is None:
            made = intermediate.examples(
                sentences, pretrained, params.intermediate_reviews, params.seed, max_length
            )
            intermediate.train(trainer, made, adamw(trainer.model, params))
        with keeper.listening():
            trainer.train(resume_from_checkpoint=str(newest) if newest else None)
            seconds = time.monotonic() - started
        # Nobody is loading the best checkpoint any more when the first process removes them all.
        trainer.accelerator.wait_for_everyone()
        if first:
            scores = curves.validation_scores(
                trainer.state.log_history, params.load_best_model_at_end
            )
            with replacing(finetuned) as model, replacing(plots) as drawn:
                save(trainer, pretrained, model, max_length)
                curves.write(trainer.state, trainer.args, drawn)
                write_json(validation, scores)
            # Durations differ on every run: they stay out of what git keeps.
            write_json(logs / "runtime.json", {"seconds": seconds, **bar.rates()})
            print(
                f"trained in {seconds:.0f} s, {bar.rates()['tokens_per_second']:,.0f} tokens/s; "
                f"validation accuracy {scores['accuracy']:.3f} "
                f"[{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}] "
                f"on {scores['n']:,} rows"
            )
            shutil.rmtree(saved)
            with contextlib.suppress(OSError):  # those of other runs are kept
                saved.parent.rmdir()
        # A process that leaves before the others have done may take them with it.
        trainer.accelerator.wait_for_everyone()
        trainer.accelerator.end_training()


@contextlib.contextmanager
def removed_on_failure(logs: Path, first: bool) -> Iterator[None]:
    """Leave no live log of a training that failed."""
    try:
        yield
    except BaseException:
        if first:
            shutil.rmtree(logs, ignore_errors=True)
        raise


if __name__ == "__main__":
    run(main)
