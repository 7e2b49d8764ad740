"""Fine-tune the checkpoint on the sample, with Hugging Face's Trainer."""

import os
import sys
import time
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from yelp_stars.data import arrow
from yelp_stars.data.malloc import reuse_freed_memory
from yelp_stars.pipeline.entrypoint import Live, run
from yelp_stars.pipeline.files import remove_on_error, sha256_of, write_json
from yelp_stars.pipeline.params import Precision, StageParams, load_params
from yelp_stars.scoring import tracking
from yelp_stars.training.launcher import VARIABLE, launch


class TrainerParams(StageParams):
    """Fields of TrainingArguments, passed on by name."""

    num_train_epochs: PositiveFloat
    """Passes over the training rows."""
    learning_rate: PositiveFloat
    """Peak learning rate of the checkpoint's weights (AdamW)."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    """Decay of the learning rate after the warm-up."""
    warmup_steps: NonNegativeFloat
    """Steps of learning-rate warm-up; below 1, a share of all steps."""
    weight_decay: NonNegativeFloat
    """AdamW's decay of matrices; biases and norms do not decay."""
    per_device_eval_batch_size: PositiveInt
    """Rows per validation batch, on each device."""
    gradient_accumulation_steps: PositiveInt
    """Batches per optimizer step on each device; more of them need less memory."""
    activation_checkpointing: bool
    """Recompute activations in the backward pass: less memory, a third more time."""
    torch_compile: bool
    """Compile the model; pays off on GPUs."""
    tf32: bool
    """Use TF32 for fp32 matrix products on an Ampere or newer GPU."""
    train_sampling_strategy: Literal["random", "group_by_length"]
    """Batches of random rows, or of rows of similar length: less padding, faster."""
    load_best_model_at_end: bool
    """Keep the epoch with the best validation score instead of the last one; see best_by."""
    save_steps: PositiveInt
    """Steps between resumable checkpoints."""
    logging_steps: PositiveInt
    """Steps between two points of the training curves, and lines of a log without a terminal."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the head, the row order and the dropout."""


class Params(TrainerParams):
    """Fine-tuning of the checkpoint."""

    REPLACED: ClassVar = {
        "launcher": f"set the environment variable {VARIABLE} instead, see docs/gpus.md",
        "per_device_train_batch_size": "write batch_size, the rows of a step over all devices",
    }

    batch_size: PositiveInt
    """Rows per optimizer step, over all devices."""
    min_steps: NonNegativeInt
    """Minimum optimizer steps: each epoch passes over few rows as often as that takes."""
    best_by: Literal["loss", "accuracy", "macro_f1"]
    """Validation score of the best epoch, for load_best_model_at_end."""
    class_weights: Literal["none", "balanced"]
    """Weights of the training loss: balanced gives every class the same, however few its rows."""
    head: Literal["random", "fitted"]
    """Start of the new head: random weights, or logistic regression on the frozen checkpoint."""
    intermediate_size: NonNegativeInt
    """Short synthetic reviews to train on first (STILTs, Phang et al. 2018); 0 skips it."""
    freeze_embeddings: bool
    """Freeze the checkpoint's embeddings (Lee et al. 2019)."""
    frozen_layers: NonNegativeInt
    """Lowest encoder layers to freeze; requires freeze_embeddings."""
    head_learning_rate: PositiveFloat
    """Peak learning rate of the new classification head."""
    attention_dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout of attention weights; 0 lets fused attention skip the matrix of all token pairs."""
    padding: Literal["longest", "max_length"]
    """Pad a batch to its longest row, or to tokenize.max_length as the notebook does."""
    precision: Precision
    """auto (bf16 where the hardware supports it well), fp32, bf16 or fp16 (CUDA)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frozen_layers and not self.freeze_embeddings:
            raise ValueError("frozen_layers above 0 requires freeze_embeddings: true")
        if self.min_steps and self.train_sampling_strategy == "random":
            raise ValueError("min_steps above 0 requires train_sampling_strategy: group_by_length")
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError("batch_size should be a multiple of gradient_accumulation_steps")
        return self


class Inputs(NamedTuple):
    sentences: Path
    sampled: Path
    pretrained: Path


class Outputs(NamedTuple):
    finetuned: Path
    dvclive: Live
    plots: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "train")
    reported_to = tracking.chosen(os.environ)
    launch(sys.argv[1:], os.environ)
    # Late: these import torch and transformers, and a typo in params.yaml must not wait for them.
    from yelp_stars.modeling import batching, compute
    from yelp_stars.training import (
        arguments,
        checkpoints,
        classifier,
        cpu,
        curves,
        head,
        intermediate,
        progress,
        saving,
    )
    from yelp_stars.training import trainer as trainers

    resolved = compute.resolve(params.precision, "train.precision")
    on_cpu = compute.device().type == "cpu"
    if on_cpu:
        reuse_freed_memory()
    compute.set_up_cuda(repeatable=True)
    table = arrow.read(given.sampled / "train.arrow")
    train = batching.ReviewDataset(table)
    # The metrics do not depend on the order.
    validation = batching.ReviewDataset(
        arrow.read(given.sampled / "validation.arrow"), by_length=True
    )
    model = classifier.load_pretrained(
        given.pretrained,
        train.label_names,
        seed=params.seed,
        attention_dropout=params.attention_dropout,
        attention=resolved.attention,
        mean_pooling=params.head == "fitted",
    )
    balanced = params.class_weights == "balanced"
    if params.head == "fitted":
        first = batching.ReviewDataset(table.slice(0, head.MAX_ROWS))
        head.fit_head(model, first, balanced=balanced)
    if on_cpu:
        cpu.use_fast_cpu(model)
    digest = checkpoints.weights_digest(model)
    run_dir = checkpoints.run_directory(params.model_dump(), resolved, digest)
    resume_from, damaged = checkpoints.latest_complete(run_dir)
    fields = params.model_dump(include=set(TrainerParams.model_fields))
    args = arguments.training_arguments(
        fields, params.batch_size, run_dir, resolved, best_by=params.best_by
    )
    classifier.freeze(model, embeddings=params.freeze_embeddings, layers=params.frozen_layers)
    rates = params.model_dump(include={"learning_rate", "head_learning_rate", "weight_decay"})
    rates["fitted_head"] = params.head == "fitted"
    saver = checkpoints.SaveOnSignal(params.save_steps)
    is_main_process = args.process_index == 0
    with (
        compute.enough_memory("raise train.gradient_accumulation_steps, see docs/gpus.md"),
        remove_on_error(made.dvclive) if is_main_process else nullcontext(),
        closing(progress.ConsoleProgress()) as bar,
        closing(tracking.Tracker(reported_to if is_main_process else "", run_dir.name)) as tracker,
        closing(curves.DVCLiveCurves(made.dvclive, tracker)) as live,
    ):
        trainer = trainers.ResumableTrainer(
            model,
            args,
            train,
            validation,
            optimizer=arguments.make_optimizer(model, **rates),
            width=train.max_length if params.padding == "max_length" else None,
            min_steps=params.min_steps,
            class_weights=trainers.balanced_weights(train.label_counts) if balanced else None,
            callbacks=[bar, live, saver],
        )
        trainer.accelerator.wait_for_everyone()  # all have looked for the latest checkpoint
        if is_main_process:
            checkpoints.remove_damaged(damaged)
            print(trainers.describe(trainer, resolved), flush=True)
            if resume_from is not None:
                print(f"resuming from {resume_from}", flush=True)
        started = time.monotonic()
        if params.intermediate_size and resume_from is None:
            intermediate.train(
                trainer,
                arguments.make_optimizer(model, **rates),
                sentences=given.sentences,
                pretrained=given.pretrained,
                size=params.intermediate_size,
            )
        with saver.stop_on_signal():
            trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
        seconds = time.monotonic() - started
        # Wait until every process has loaded the best checkpoint.
        trainer.accelerator.wait_for_everyone()
        validated = trainer.predict(validation)
        if is_main_process:
            result = saving.result_of(trainer, validated)
            saving.save(result, given.pretrained, made.finetuned)
            tracker.log({f"final/validation/{key}": score for key, score in result.scores.items()})
            if reported_to:
                tracker.keep(sha256_of(made.finetuned / "model.safetensors"))
            shown = params.model_dump(include=saving.SHOWN)
            saving.write_card(result, shown, given.sentences, given.pretrained, made.finetuned)
            curves.write_plots(trainer.state, args, made.plots)
            write_json(made.metrics, result.scores)
            # Not committed: durations differ on every run.
            runtime = {"finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "seconds": seconds}
            runtime |= {"device": compute.device_name(), "versions": checkpoints.VERSIONS}
            write_json(made.dvclive / "runtime.json", {**runtime, **bar.rates()})
            print(saving.describe(result, seconds, bar.rates()))
            checkpoints.remove_run(run_dir)
        # An early exit would abort the other processes.
        trainer.accelerator.wait_for_everyone()
        trainer.accelerator.end_training()


if __name__ == "__main__":
    run(main)
