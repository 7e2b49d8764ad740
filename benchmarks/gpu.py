"""Training on one GPU: the stage `train` against the notebook's recipe, in the same run.

`python -m benchmarks.gpu` needs a CUDA GPU, and the real reviews beside this project. The weights
are random, of BERT-base's size: accuracies mean nothing, speeds and memory do. Writes
benchmarks/GPU.md.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pynvml

from benchmarks.interleaved import Turn, median, rates, ratio
from benchmarks.machine import describe_machine
from benchmarks.quality import params as sample_params
from benchmarks.tokenization import SHARED
from benchmarks.workspace import ROOT, commit, lay_out, stage_command
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

TURNS = 3
BATCH = 16
WARM_UP = 3  # steps: as many as the stage leaves out of its rates
STAGES = ("download", "audit", "pretrained", "tokenize", "sample")
PRESET = read_yaml(ROOT / "presets" / "notebook.yaml")["train"]
GROUPED = {"padding": "longest", "train_sampling_strategy": "group_by_length"}
FAST = {**GROUPED, "precision": "auto"}
PACKAGES = ("torch", "transformers", "accelerate", "numpy")

# Name -> title, and what the stage `train` changes of the preset `notebook`; None is the peer.
CONTENDERS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "peer": ("the notebook's recipe in plain transformers: padded to 512, fp32", None),
    "notebook": ("the preset `notebook`", {}),
    "grouped": ("and grouped by length", GROUPED),
    "tf32": ("and tf32", {**GROUPED, "tf32": True}),
    "auto": ("grouped by length, precision auto", FAST),
    "fused": ("and no attention dropout", {**FAST, "attention_dropout": 0.0}),
    "large": ("and batches of 64", {
        **FAST, "attention_dropout": 0.0, "batch_size": 64,
        "per_device_eval_batch_size": 64,
    }),
}  # fmt: skip


def make_checkpoint(folder: Path) -> None:
    """BERT-base with random weights, and the real tokenizer."""
    from transformers import BertConfig, BertModel, set_seed

    set_seed(0)
    shutil.copytree(SHARED / "bert-base-cased", folder)
    config = BertConfig.from_pretrained(folder)
    BertModel(config).save_pretrained(folder)


def prepare(folder: Path) -> None:
    """A project with 1,000 training and 1,000 test rows of real reviews, tokenized to 512."""
    params = read_yaml(ROOT / "presets" / "notebook.yaml")
    params["download"] = sample_params("cpu", 1000, 0)["download"]
    params["pretrained"] = {"source": "folder", "folder": "bert-base"}
    lay_out(folder, params)
    make_checkpoint(folder / "models" / "external" / "bert-base")
    shutil.copy(SHARED / "yelp_review_full_sample.jsonl", folder / "data" / "external")
    commit(folder)
    for stage in STAGES:
        subprocess.run(stage_command(stage), cwd=folder, check=True)


def peer(folder: Path) -> None:
    """Train as the notebook does; leaves its rate in runtime.json, as the stage does."""
    import datasets
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            if state.global_step == WARM_UP:
                self.started = time.monotonic()
            self.step, self.now = state.global_step, time.monotonic()

    checkpoint = folder / "models" / "pretrained"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, model_max_length=512)
    train, validation = (
        datasets.Dataset.from_file(str(folder / "data" / "sample" / f"{name}.arrow"))
        for name in ("train", "validation")
    )
    clock, begun = Clock(), time.monotonic()
    Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=5),
        args=TrainingArguments(
            output_dir=str(folder / "peer"), per_device_train_batch_size=BATCH, num_train_epochs=1,
            eval_strategy="epoch", save_strategy="no", logging_steps=30, disable_tqdm=True,
        ),
        train_dataset=train.remove_columns("row"),
        eval_dataset=validation.remove_columns("row"),
        data_collator=DataCollatorWithPadding(tokenizer, "max_length", 512),
        callbacks=[clock],
    ).train()  # fmt: skip
    content = {
        "steps_per_second": (clock.step - WARM_UP) / (clock.now - clock.started),
        "seconds": time.monotonic() - begun,
    }
    (folder / "dvclive").mkdir(exist_ok=True)
    (folder / "dvclive" / "runtime.json").write_text(json.dumps(content))


def turn(folder: Path, name: str) -> Turn:
    """One training in a process of its own: rows a second, seconds, and peak memory in bytes."""
    for path in (folder / "models" / "finetuned", folder / "dvclive"):
        shutil.rmtree(path, ignore_errors=True)
    changed = CONTENDERS[name][1]
    command = [sys.executable, "-m", "benchmarks.gpu", str(folder)]
    params = read_yaml(folder / "params.yaml")
    if changed is not None:
        params["train"] = {**PRESET, "num_train_epochs": 1, **changed}
        (folder / "params.yaml").write_text(dump_yaml(params))
        command = stage_command("train")
    card, peak = pynvml.nvmlDeviceGetHandleByIndex(0), 0
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT if changed is None else folder, stdout=output, stderr=output
        )
        while process.poll() is None:
            peak = max(peak, pynvml.nvmlDeviceGetMemoryInfo(card).used)
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit((folder / "output.txt").read_text()[-2000:])
    found = json.loads((folder / "dvclive" / "runtime.json").read_text())
    rows = (changed or {}).get("batch_size", BATCH)
    return {"rate": rows * found["steps_per_second"], "seconds": found["seconds"], "peak": peak}


def main() -> None:
    """Measure in turns; print and write benchmarks/GPU.md."""
    pynvml.nvmlInit()
    card = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
    turns: dict[str, list[Turn]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        prepare(folder)
        for number in range(TURNS):
            for name in CONTENDERS:
                turns[name].append(turn(folder, name))
                print(number, name, turns[name][-1], flush=True)
    text = markdown(card, turns)
    (ROOT / "benchmarks" / "GPU.md").write_text(text, encoding="utf-8")
    print(text)


def markdown(card: str, turns: dict[str, list[Turn]]) -> str:
    """The page of results."""
    lines = [
        "# Training on a GPU",
        "",
        f"{card}. {describe_machine(*PACKAGES)}.",
        "",
        f"Command: `python -m benchmarks.gpu`. One epoch of 1,000 real reviews, then 1,000 to "
        f"validate on: BERT-base with random weights, batches of {BATCH}, at most 512 tokens. "
        f"{TURNS} turns of each, each in a process of its own; rates leave out the first three "
        f"steps. Median (lowest to highest); ratios are within one turn. The memory is the "
        f"card's, CUDA's own included.",
        "",
        "| | rows/s in training | times the notebook's | seconds with validation | memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name, own in turns.items():
        lines.append(
            f"| {CONTENDERS[name][0]} | {rates(own, 0)} | {ratio(own, turns['peer'])} "
            f"| {median(own, 'seconds'):.1f} | {median(own, 'peak') / 1e6:,.0f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    if len(sys.argv) > 1:  # the peer, in a process of its own
        peer(Path(sys.argv[1]))
    else:
        main()
