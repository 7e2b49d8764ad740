"""Build what the presets for GPUs train with, as the first of so many processes with one each.

The group is a fake whose other members never answer: enough to build, not to train.
"""

import sys
from pathlib import Path

import torch
from helpers import make_trainer
from torch.testing._internal.distributed.fake_pg import FakeStore

from stages.train import Params
from yelp_stars.modeling import compute
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.training.trainer import describe

gpus = int(sys.argv[1])
torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=gpus)
for preset in ("full", "notebook"):
    section = read_yaml(Path("presets", f"{preset}.yaml"))["train"]
    params = Params.model_validate({**section, "batch_size": 2 * gpus})
    trainer = make_trainer(params)
    rows = len(next(iter(trainer.get_train_dataloader()))["labels"])
    trainer.create_optimizer_and_scheduler(num_training_steps=10)
    sampler = type(trainer._get_train_sampler()).__name__
    groups = len(trainer.optimizer.param_groups)
    described = describe(trainer, compute.resolve(params.precision, "train.precision"))
    print(f"{preset} on {gpus}: {rows} rows here, {sampler}, {groups} groups; {described}")
