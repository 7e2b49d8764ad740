"""What several tests use: commands, edits of a project, real data if it is there."""

import contextlib
import csv
import functools
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from dvc import cli as dvc_cli
from filelock import FileLock

from benchmarks import workspace
from benchmarks.workspace import ROOT
from yelp_stars import cli
from yelp_stars.audit.words import normalize
from yelp_stars.data import arrow
from yelp_stars.pipeline import entrypoint
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml
from yelp_stars.reading.origin import NO_FILE

SHARED = ROOT.parent / "shared" / "data"
SENTENCES = ROOT / "data" / "synthetic" / "sentences.tsv"

needs_sample = pytest.mark.skipif(
    not (SHARED / "yelp_review_full_sample.jsonl").is_file(), reason="no real reviews here"
)
needs_bert = pytest.mark.skipif(
    not (SHARED / "bert-base-cased" / "tokenizer.json").is_file(), reason="no real tokenizer here"
)

# Stages as dvc.yaml runs them, with outs in the project's root.
DOWNLOAD = (
    "python", "-m", "stages.download", "data/synthetic/sentences.tsv", "data/external", "raw", "u",
    "m",
)  # fmt: skip
TRAIN = (
    "python", "-m", "stages.train", "data/synthetic/sentences.tsv", "data/sample",
    "models/pretrained",
)  # fmt: skip
TRAIN_OUTS = ("ft", "dvclive", "plots/training", "validation.json")
EVALUATE = (
    "python", "-m", "stages.evaluate", "data/raw", "data/sample", "ft",
    "data/audit.parquet", "p.parquet", "e.parquet", "details.json", "plots/test", "s.json",
)  # fmt: skip

# In the environment of the run that many tests look at; no file of it may hold one.
SECRETS = {
    "HF_TOKEN": "hf_thisTokenMustNotBeSeen",
    "AWS_SECRET_ACCESS_KEY": "thisKeyMustNotBeSeen",
    "WANDB_API_KEY": "thisApiKeyMustNotBeSeen",
}
DEADLINE = 120  # seconds, for anything that a test waits for
FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 50))  # of each fuzz; `make soak` tries 5,000
KILLS = int(os.environ.get("KILLS", 1))  # of what is killed; `make soak`: 20
SOAK = KILLS >= 20
# What Python itself prints where Ctrl-C comes in its first milliseconds: before it calls a stage's
# code by `_run_code`, and before `stages/__init__.py` has run.
STARTING = re.compile(
    r"(Fatal Python error: init_\w+|Could not import runpy module"
    r"|Exception ignored in: <function _get_module_lock|Traceback \(most recent call last\):\n"
    r"  File \"<frozen runpy>\", line \d+, in _run_module_as_main\n(?!.* in _run_code\n))"
    r"[\s\S]*?KeyboardInterrupt(: )?\n"
)
soak = pytest.mark.skipif(not SOAK, reason="takes long: make soak")


def split_words(text: str) -> list[str]:
    """The words that the audit compares."""
    return normalize(text).decode().split()


def thorough(*values: Any) -> list[Any]:
    """Values of a parameter that only `make test-all` tests."""
    return [pytest.param(value, marks=pytest.mark.thorough) for value in values]


# A valid section `download` for a file of the user's.
FILES = {
    "source": "files",
    "train_file": "a.csv",
    "test_file": None,
    "test_size": 5,
    "seed": 0,
    "text_column": "text",
    "label_column": "label",
    "labels": {"0": "bad", "1": "good"},
    "unescape": False,
    "drop_empty": False,
}


def result_or_line(call: Callable[[], Any]) -> Any:
    """The result of a call, or its error's message: one short line. Nothing else may be raised."""
    try:
        return call()
    except UserError as error:
        message = str(error)
    assert message.isprintable(), message
    assert 0 < len(message) <= 500
    return message


def run(*command: str, cwd: Path, ok: bool = True, **env: str) -> str:
    """Run a command and return its output; it must succeed, or fail, as `ok` says."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output
    return output


def fails(*command: str, cwd: Path, **env: str) -> str:
    """Run a command that a user's mistake must stop: exit 1, one error line, no traceback."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 1, (done.returncode, done.stdout + done.stderr)
    lines = [line for line in done.stderr.splitlines() if "\r" not in line and line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cwd.rglob("*.partial"))
    return errors[0].removeprefix("error: ")


def fails_here(main: Callable[..., None], *paths: Path | str) -> str:
    """Run a stage's `main` in this process, as `python -m` does; a user's mistake must stop it.

    Returns the error, which is one line without its prefix; nothing half-written remains.
    """
    with pytest.MonkeyPatch.context() as patch:
        script = f"{main.__module__.replace('.', '/')}.py"
        patch.setattr(sys, "argv", [script, *map(str, paths)])
        handlers = {number: signal.getsignal(number) for number in entrypoint.SIGNALS}
        try:
            with pytest.raises(SystemExit) as caught:
                entrypoint.run(main)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    error = caught.value.code  # Python prints a string to stderr and exits with 1
    assert isinstance(error, str)
    assert error.startswith("error: ")
    assert "\n" not in error
    assert not list(Path.cwd().rglob("*.partial"))
    return error.removeprefix("error: ")


def stars(*arguments: str) -> Any:
    """Run the command `stars` in this process; returns its exit code, or a user error's line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stars", *arguments])
        patch.setattr(sys, "path", [*sys.path])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    return caught.value.code


def documented(guide: str, heading: str) -> list[str]:
    """The shell blocks below a heading of a file of docs/."""
    below = (ROOT / "docs" / guide).read_text("utf-8").split(f"# {heading}\n")[1]
    section = re.split(r"^#+ ", below, maxsplit=1, flags=re.M)[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


def follow(commands: str, cwd: Path, **env: str) -> str:
    """Run a block of a guide; each of its commands must succeed."""
    return run("bash", "-euo", "pipefail", "-c", commands, cwd=cwd, **env)


def edit(project: Path, section: str, **values: Any) -> None:
    """Change keys of a section of a project's params.yaml."""
    tree = read_yaml(project / "params.yaml")
    tree[section].update(values)
    (project / "params.yaml").write_text(dump_yaml(tree), encoding="utf-8")


def replace(project: Path, section: str, values: dict[str, Any]) -> None:
    """Replace a complete section of a project's params.yaml."""
    tree = read_yaml(project / "params.yaml")
    tree[section] = values
    (project / "params.yaml").write_text(dump_yaml(tree), encoding="utf-8")


def change_json(path: Path, **values: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def ran(output: str) -> list[str]:
    """The stages that `dvc repro` ran, by its output."""
    lines = [line for line in output.splitlines() if line.startswith("Running stage '")]
    return [line.split("'")[1] for line in lines]


def would_run(repo: Path) -> set[str]:
    """The stages that `dvc status` calls changed."""
    return set(json.loads(dvc_in(repo, "status", "--json")))


def copy_files(names: Iterable[str], target: Path) -> None:
    """Copy files of the project to another folder, below which they have the same paths."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)


def out_paths(stage: dict[str, Any], *keys: str) -> list[str]:
    """The paths of a stage's outs in dvc.yaml, below `outs`, `metrics` or `plots`."""
    declared = [out for key in keys for out in stage.get(key, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in declared]


def outs(repo: Path) -> dict[str, str]:
    """The hash of every out in dvc.lock."""
    stages = read_yaml(repo / "dvc.lock")["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def put(project: Path, name: str, content: bytes | str) -> Path:
    """Write a file of the user's into data/external."""
    path = project / "data" / "external" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(
    rows: Iterable[tuple[Any, str]],
    delimiter: str = ",",
    header: tuple[str, str] | None = ("label", "text"),
) -> str:
    """(label, text) rows as CSV."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=delimiter)
    writer.writerows([header, *rows] if header else rows)
    return lines.getvalue()


def read_reviews(path: Path) -> list[tuple[int, str]]:
    """The (label, text) rows of an Arrow file."""
    return [(row["label"], row["text"]) for row in arrow.read(path).to_pylist()]


@functools.cache
def small_params() -> dict[str, Any]:
    """The quickstart's parameters for a tiny checkpoint and a few hundred reviews."""
    tree: dict[str, Any] = read_yaml(ROOT / "presets" / "quickstart.yaml")
    tree["download"].update(train_size=200, test_size=100, median_words=10)
    tree["pretrained"] = {"source": "folder", "folder": "tiny"}
    tree["tokenize"].update(max_length=32)
    tree["baseline"].update(embedded_rows=1000)
    tree["sample"].update(train_size=60, validation_size=20, test_size=30)
    tree["train"].update(num_train_epochs=1, logging_steps=2)
    tree["train"].update(freeze_embeddings=False, frozen_layers=0)
    tree["train"].update(learning_rate=1e-3, head_learning_rate=1e-3)
    return tree


def lay_out(target: Path, checkpoint: Path | None) -> Path:
    """Copy the project's own files to a new folder, with small parameters."""
    workspace.lay_out(target, small_params())
    if checkpoint is not None:
        shutil.copytree(checkpoint, target / "models" / "external" / "tiny")
    return target


def train(project: Path, name: str = "ft", **values: Any) -> dict[str, Any]:
    """Run the stage `train` in this process, in the working folder; returns the weights."""
    from safetensors.torch import load_file  # imports torch, which most tests do not need

    from stages.train import main

    edit(project, "train", **values)
    call(main, *map(Path, (*TRAIN[3:], name, *TRAIN_OUTS[1:])))
    return load_file(Path(name, "model.safetensors"))


def train_losses(project: Path) -> np.ndarray:
    """The curve of the training loss: (points, 2), step and loss."""
    lines = (project / "plots" / "training" / "train_loss.tsv").read_text().splitlines()
    return np.loadtxt(lines[1:])


def max_difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    """The largest difference between two sets of weights."""
    return max((first[name] - second[name]).abs().max().item() for name in first)


# What GitHub links in the text of a page that is already rendered.
LINKED = re.compile(
    r"@|#\d|www\.|://|:\w+:|\bGH-\d|\b[A-Z]+-\d|\b[0-9a-f]{7,40}\b|GHSA-|\$", re.IGNORECASE
)


def markdown_tokens(text: str) -> Iterator[Any]:
    """All tokens of a Markdown text; the parser is the one of rich."""
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or []


def own_markdown(text: str, *others: str) -> list[str]:
    """The HTML of a Markdown text that has tables, words, code, and the `others`, and no more.

    No word of it is one that GitHub links.
    """
    kinds = {"table", "thead", "tbody", "tr", "th", "td", "inline", "text", "code_inline", *others}
    html = []
    for token in markdown_tokens(text):
        assert token.type.removesuffix("_open").removesuffix("_close") in {*kinds, "html_block"}
        if token.type == "text":
            assert not LINKED.search(token.content)
        if token.type == "html_block":
            html.append(token.content.strip())
    return html


def review_dataset(
    names: Sequence[str], source: str = "synthetic", ordered: bool = True, truncation: str = "head"
) -> Any:
    """Two rows of each label in a dataset of at most 8 tokens, of which the last row has all."""
    from yelp_stars.modeling.batching import ReviewDataset

    columns = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64(), "row": pa.int64()}
    schema = arrow.make_schema(
        columns, [*names], ordered=ordered, max_length=8, truncation=truncation, source=source,
        origin=NO_FILE._asdict(),
    )  # fmt: skip
    labels = pa.array(np.arange(2 * len(names)) % len(names))
    ids = pa.array([[1, 2]] * (2 * len(names) - 1) + [[1] * 8], columns["input_ids"])
    return ReviewDataset(pa.table([ids, labels, labels], schema=schema))


def make_trainer(params: Any) -> Any:
    """The trainer of the stage `train` for a section of params.yaml, in the working folder."""
    import dataclasses

    from transformers import TrainingArguments

    from yelp_stars.modeling import batching, compute
    from yelp_stars.training import arguments, checkpoints, classifier, head
    from yelp_stars.training.trainer import ResumableTrainer, balanced_weights

    resolved = compute.resolve(params.precision, "train.precision")
    sample = Path("data", "sample")
    rows = batching.ReviewDataset(arrow.read(sample / "train.arrow"))
    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    model = classifier.load_pretrained(
        Path("models", "pretrained"),
        rows.label_names,
        seed=params.seed,
        attention_dropout=params.attention_dropout,
        attention=resolved.attention,
        mean_pooling=params.head == "fitted",
    )
    balanced = params.class_weights == "balanced"
    if params.head == "fitted":
        head.fit_head(model, rows, balanced=balanced)
    digest = checkpoints.weights_digest(model)
    run_dir = checkpoints.run_directory(params.model_dump(), resolved, digest)
    classifier.freeze(model, embeddings=params.freeze_embeddings, layers=params.frozen_layers)
    rates = params.model_dump(include={"learning_rate", "head_learning_rate", "weight_decay"})
    return ResumableTrainer(
        model,
        arguments.training_arguments(
            params.model_dump(include=fields),
            params.batch_size,
            run_dir,
            resolved,
            best_by=params.best_by,
        ),
        rows,
        batching.ReviewDataset(arrow.read(sample / "validation.arrow"), by_length=True),
        optimizer=arguments.make_optimizer(model, **rates),
        width=rows.max_length if params.padding == "max_length" else None,
        min_steps=params.min_steps,
        class_weights=balanced_weights(rows.label_counts) if balanced else None,
    )


@contextlib.contextmanager
def start_training(project: Path, *launcher: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the stage `train`, as DVC does, without its outs; kill it when the block ends."""
    for out in TRAIN_OUTS:
        path = project / out
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    command = [*(launcher or (sys.executable, "-m")), *TRAIN[2:], *TRAIN_OUTS]
    with subprocess.Popen(
        command,
        cwd=project,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as stage:
        try:
            yield stage
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(stage.pid, signal.SIGKILL)


def finish(stage: subprocess.Popen[bytes]) -> str:
    """Wait until a stage has ended; returns what the terminal would have received."""
    return stage.communicate(timeout=DEADLINE)[0].decode()


def train_in_process(project: Path, *launcher: str) -> str:
    """Run the stage `train` to its end in a process of its own; returns its output."""
    with start_training(project, *launcher) as stage:
        output = finish(stage)
    assert stage.returncode == 0, output
    return output


def training_result(project: Path) -> dict[str, bytes]:
    """The weights, the curves, the scores: what must not depend on interruptions."""
    files = [*(project / "ft").iterdir(), *(project / "plots" / "training").iterdir()]
    return {file.name: file.read_bytes() for file in [*files, project / "validation.json"]}


def wait_for_step(project: Path, stage: subprocess.Popen[bytes], step: int) -> None:
    """Wait until a training has done so many steps."""
    metrics = project / "dvclive" / "metrics.json"
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert stage.poll() is None, finish(stage)
        with contextlib.suppress(FileNotFoundError, ValueError):
            if json.loads(metrics.read_text())["step"] >= step:
                return
        time.sleep(0.002)
    raise AssertionError(f"no step {step} within {DEADLINE} seconds")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first worker of pytest-xdist makes, for all of them."""
    base = factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = common / "common" / name
    with FileLock(common / f"{name}.lock"):
        if not folder.exists():
            unfinished = factory.mktemp(name) / name
            make(unfinished)
            folder.parent.mkdir(exist_ok=True)
            unfinished.rename(folder)
    return folder


# --- DVC in this process --------------------------------------------------------------------------


def dvc_in(repo: Path, *arguments: str, ok: bool = True) -> str:
    """Run a command of DVC in this process and a repository; returns what it writes to stdout.

    It takes a tenth of the time of a process. What the stages print is not in the result.
    """
    printed = io.StringIO()
    lines = logging.StreamHandler(printed)  # DVC's own has the stdout of its first command
    lines.addFilter(lambda record: record.levelno == logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repo)
        patch.setattr(sys, "stdout", printed)
        patch.setenv("DVC_TEST", "1")  # or --json is written to an earlier stdout, too
        # Other libraries, and DVC itself where stdout is closed, switch its lines off.
        patch.setattr(logging.root.manager, "disable", logging.NOTSET)
        for name, logger in logging.root.manager.loggerDict.items():
            if name.partition(".")[0] == "dvc" and isinstance(logger, logging.Logger):
                patch.setattr(logger, "disabled", False)
        logging.getLogger("dvc").setLevel(logging.INFO)
        logging.getLogger("dvc").addHandler(lines)
        try:
            assert (dvc_cli.main([*arguments]) == 0) == ok, arguments
        finally:
            logging.getLogger("dvc").removeHandler(lines)
    return printed.getvalue()
