"""The Trainer, made exactly resumable.

`ResumableTrainer` overrides three private methods of transformers' Trainer (5.23) and reads two of
its private attributes:

- `_get_train_sampler`: batches of similar length that resume at any step;
- `_save_checkpoint`: a manifest, and the loss accumulated since the last log, which checkpoints
  omit;
- `_run_epoch`: restores that loss, and sets the sampler's epoch;
- `_tr_loss`, `_globalstep_last_logged`: that loss.

tests/training/test_trainer.py fails with this list when one of them disappears.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from yelp_stars.modeling.batching import LengthGroupedSampler, ReviewDataset, pad, padding_share
from yelp_stars.modeling.compute import Compute
from yelp_stars.scoring.hf_metric import StarScores
from yelp_stars.training.checkpoints import complete_or_removed
from yelp_stars.training.progress import diverged


def passes_for(min_steps: int, epochs: float, rows: int, rows_per_step: int) -> int:
    """Return how often an epoch passes over the rows to make at least `min_steps` steps in all."""
    before_last = math.ceil(min_steps / epochs) - 1  # of the steps of an epoch
    return max(1, 1 + before_last * rows_per_step // rows)


class ResumableTrainer(Trainer):
    """A Trainer whose interrupted and resumed run equals an uninterrupted one."""

    model: PreTrainedModel
    train_dataset: ReviewDataset

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        train: ReviewDataset,
        validation: ReviewDataset,
        *,
        optimizer: torch.optim.Optimizer,
        width: int | None = None,
        min_steps: int = 0,
        class_weights: torch.Tensor | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        """Pad every batch to `width` tokens, or to its longest row without it.

        An epoch passes over the rows as often as it takes to make `min_steps` steps in all.
        `class_weights` multiply the training losses of the rows of each class, (classes,).
        """
        self.width = width
        self.rows_per_step = (
            args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        )
        passes = passes_for(min_steps, args.num_train_epochs, len(train), self.rows_per_step)
        self.sampler = LengthGroupedSampler(train.lengths, self.rows_per_step, args.seed, passes)
        self._class_weights = class_weights
        self._metric, self._ordered = StarScores(keep_in_memory=True), train.ordered
        super().__init__(
            model=model,
            args=args,
            data_collator=functools.partial(pad, pad_id=model.config.pad_token_id, width=width),
            train_dataset=train,
            eval_dataset=validation,
            compute_metrics=self._compute_scores,
            optimizers=(optimizer, None),
            callbacks=callbacks,
        )
        # compute_loss divides by the rows of the step, which Trainer counts only with this: the
        # mean of the batches' means would weigh the rows of a short last batch more.
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)

    def _compute_scores(self, evaluated: EvalPrediction) -> dict[str, Any]:
        if not np.isfinite(evaluated.predictions).all():
            raise diverged(self.state.global_step)
        scores = self._metric.compute(
            predictions=evaluated.predictions,
            references=evaluated.label_ids,
            ordered=self._ordered,
        )
        return {key: value for key, value in scores.items() if key != "loss"}

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Divide the loss of the rows by all rows of the step; weight it by class.

        So a row weighs the same in any batch, as transformers#47688 asks for BERT. The loss of the
        validation rows has no weights.
        """
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs)
        labels, outputs = inputs["labels"], model(**inputs)
        losses = torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="none")
        if self._class_weights is not None:
            losses = losses * self._class_weights.to(labels.device)[labels]
        # DistributedDataParallel takes the mean over the processes.
        loss = losses.sum() * self.args.world_size / num_items_in_batch
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy == "random":
            return super()._get_train_sampler(train_dataset)
        return self.sampler

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Checkpoints omit the loss accumulated since the last log; save it, or a resumed curve
        # differs.
        losses = self.accelerator.gather(self._tr_loss).reshape(-1).tolist()  # one per process
        accumulated = {"losses": losses, "since": self._globalstep_last_logged}
        checkpoint = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        wait = self.accelerator.wait_for_everyone
        with complete_or_removed(checkpoint, self.is_world_process_zero(), wait):
            self.state.stateful_callbacks["accumulated_loss"] = accumulated
            super()._save_checkpoint(model, trial)
            del self.state.stateful_callbacks["accumulated_loss"]

    def _run_epoch(self, **kwargs: Any) -> None:
        accumulated = self.state.stateful_callbacks.pop("accumulated_loss", None)
        if accumulated is not None:
            self._tr_loss += accumulated["losses"][self.args.process_index]
            self._globalstep_last_logged = accumulated["since"]
        # accelerate does not forward set_epoch when it skips batches across processes.
        self.sampler.set_epoch(kwargs["epoch"])
        if self.state.global_step >= self.state.max_steps:  # saved after the last step
            return
        super()._run_epoch(**kwargs)


def balanced_weights(label_counts: Sequence[int]) -> torch.Tensor:
    """Weight each class by the inverse of its rows; their mean over all rows is 1, (classes,)."""
    counts = torch.tensor(label_counts, dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (counts.count_nonzero() * counts), 0.0)


def describe(trainer: ResumableTrainer, resolved: Compute) -> str:
    """Describe the data, the steps and the model of a training, and its device, in one line."""
    args, lengths = trainer.args, trainer.train_dataset.lengths
    random = args.train_sampling_strategy == "random"
    order = np.arange(len(lengths)) if random else trainer.sampler.order()
    padding = padding_share(lengths, order, args.train_batch_size, trainer.width)
    passes = trainer.sampler.passes
    steps_per_epoch = math.ceil(passes * len(lengths) / trainer.rows_per_step)
    repeated = f" ({passes} passes an epoch)" if passes > 1 else ""
    n_all = trainer.model.num_parameters()
    n_trained = trainer.model.num_parameters(only_trainable=True)
    trained = f" ({n_trained / 1e6:.1f}M trained)" if n_trained < n_all else ""
    return (
        f"{len(lengths):,} rows, {int(lengths.sum()):,} tokens, {padding:.1%} padding; "
        f"{math.ceil(steps_per_epoch * args.num_train_epochs):,} steps of "
        f"{trainer.rows_per_step} rows{repeated}; {n_all / 1e6:.1f}M parameters{trained} "
        f"in {resolved.precision} ({resolved.reason}) on {args.device}"
    )
