"""Build what the presets for GPUs train with, as if there were some; says what came out.

python construct.py KIND GPUS...: `one` process has them all, or there are `many` with one each.
"""

import sys
from pathlib import Path

import torch
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import TrainingArguments

from stages import train
from stars.params import read_yaml

kind, *numbers = sys.argv[1:]
for gpus in map(int, numbers):
    if kind == "many":
        # A group whose other members never answer: enough to build, not to train.
        torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=gpus)
    else:
        TrainingArguments.n_gpu = property(lambda self, gpus=gpus: gpus)
    for preset in ("full", "notebook"):
        section = read_yaml(Path("presets", f"{preset}.yaml"))["train"]
        params = train.Params.model_validate({**section, "per_device_train_batch_size": 2})
        where = (Path("models/pretrained"), Path("data/sample"), Path("checkpoints"))
        trainer, max_length = train.make_trainer(params, *where, callbacks=[])
        rows = len(next(iter(trainer.get_train_dataloader()))["labels"])
        trainer.create_optimizer_and_scheduler(num_training_steps=10)
        sampler = type(trainer._get_train_sampler()).__name__
        groups = len(trainer.optimizer.param_groups)
        described = train.describe(params, trainer, max_length)
        print(f"{preset} on {gpus}: {rows} rows here, {sampler}, {groups} groups; {described}")
