"""The launcher of the stage `train`: known programs with known options, and no shell."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from helpers import (
    FUZZ_EXAMPLES,
    ROOT,
    SOAK,
    TRAIN,
    TRAIN_OUTS,
    edit,
    fails,
    finish,
    soak,
    start_training,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small import dvc

from benchmarks.workspace import commit
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.launcher import LAUNCHED, PROGRAMS, check_launcher, launch, launch_command

PATHS = ["data/sample", "ft"]
PYTHON = (sys.executable, "-m")
ALLOWED = [
    ("python", []),
    ("torchrun", [*PYTHON, "torch.distributed.run"]),
    ("torchrun --nproc-per-node 8", [*PYTHON, "torch.distributed.run", "--nproc-per-node=8"]),
    ("torchrun --nproc-per-node=8", [*PYTHON, "torch.distributed.run", "--nproc-per-node=8"]),
    ("torchrun --nproc_per_node=8", [*PYTHON, "torch.distributed.run", "--nproc-per-node=8"]),
    ("torchrun  --nproc_per_node '8'", [*PYTHON, "torch.distributed.run", "--nproc-per-node=8"]),
    (
        "torchrun --standalone --nproc-per-node gpu",
        [*PYTHON, "torch.distributed.run", "--standalone", "--nproc-per-node=gpu"],
    ),
    (
        "accelerate launch --num-processes 8",
        [*PYTHON, "accelerate.commands.launch", "--num-processes=8"],
    ),
    (
        "accelerate launch --num_processes=8 --multi_gpu",
        [*PYTHON, "accelerate.commands.launch", "--num-processes=8", "--multi-gpu"],
    ),
    (
        "srun torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d "
        "--rdzv-endpoint NODE:29500",
        ["srun", *PYTHON, "torch.distributed.run", "--nnodes=2", "--nproc-per-node=8",
         "--rdzv-backend=c10d", "--rdzv-endpoint=NODE:29500"],
    ),
    (
        "srun -N 2 -n2 --gres=gpu:8 --exclusive torchrun --rdzv-endpoint=[::1]:29500",
        ["srun", "-N2", "-n2", "--gres=gpu:8", "--exclusive", *PYTHON, "torch.distributed.run",
         "--rdzv-endpoint=[::1]:29500"],
    ),
]  # fmt: skip
# `touch canary` in every way that a launcher, a shell or Python could run it.
HOSTILE = [
    "", " ", "python -c 'open(\"canary\",\"w\")'", "python evil.py", "python -m evil", "python;x",
    "python; touch canary", "python && touch canary", "python\ntouch canary #", "touch canary #",
    "$(touch canary)", "`touch canary`", "python $(touch canary)", "python | touch canary",
    "python > canary", "/bin/sh -c 'touch canary'", "sh evil.sh", "./evil.sh", "evil.py",
    "torchrun evil.py", "torchrun --standalone evil.py", "torchrun -m evil",
    "torchrun --module evil",
    "torchrun --no-python evil.sh", "torchrun --no_python ./evil.sh", "torchrun --run-path evil.py",
    "torchrun --nproc-per-node 1 evil.py", "torchrun --nproc-per-node=1 -m evil",
    "torchrun -- evil",
    "torchrun --nproc-per-node 1\nevil.py", "torchrun --log-dir /tmp", "torchrun --standalone=evil",
    "torchrun --event-log-handler evil", "torchrun --logs-specs evil", "torchrun --rdzv-conf x=y",
    "torchrun --nproc-per-node -m evil", "torchrun --nproc-per-node= evil.py", "torchrun --nproc 1",
    "torchrun --nproc-per-node 1; touch canary", "torchrun --nproc-per-node 1 --nproc-per-node 2",
    "torchrun --nproc-per-node '1 evil.py'", "torchrun --role $(touch canary)", "torchrun 'evil",
    "torchrun --rdzv-endpoint ../evil", "torchrun --rdzv-id \u0661", "torchrun\u00a0evil.py",
    "torchrun\u2003evil.py", "torchrun \u2014standalone", "/tmp/torchrun", "../torchrun",
    "accelerate", "accelerate launch evil.py", "accelerate launch --config_file evil.yaml",
    "accelerate launch -m evil", "accelerate launch --no_python evil.sh", "accelerate test",
    "accelerate launch --use_deepspeed", "accelerate launch --mixed_precision fp16",
    "accelerate launch --mpirun_hostfile evil", "accelerate launch --main_training_function evil",
    "accelerate env", "accelerate launch --cpu evil.py", "accelerate  config",
    "srun python", "srun evil.sh", "srun -N 2 evil.sh", "srun --task-prolog=evil.sh torchrun",
    "srun --prolog evil.sh torchrun", "srun --epilog=evil.sh torchrun", "srun --exclusive evil.sh",
    "srun --export=ALL,LD_PRELOAD=evil.so torchrun", "srun --chdir=/tmp torchrun",
    "srun srun torchrun",
    "srun --multi-prog evil.conf", "srun -o canary torchrun", "srun --bcast=evil torchrun",
    "srun --exclusive=user torchrun", "srun -Kevil torchrun", "srun - torchrun", "srun -- evil.sh",
    "srun torchrun evil.py", "srun accelerate launch evil.py", "srun --wckey=x torchrun",
    "mpirun x",
    "env torchrun", "torchrun torchrun", "python python", "PYTHON", "Torchrun", "torchrun\0", "\0",
    "torchrun --nnodes " + "1" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("launcher", "command"), ALLOWED)
def test_the_command_is_the_launcher_its_options_and_the_stage(launcher, command):
    assert check_launcher(launcher) == launcher
    expected = [*command, "-m", "stages.train", *PATHS] if command else []
    assert launch_command(launcher, PATHS) == expected


@pytest.mark.parametrize("launcher", HOSTILE)
def test_anything_else_is_refused_with_what_is_allowed(launcher):
    with pytest.raises(ValueError, match="should be python, or torchrun or accelerate launch"):
        launch_command(launcher, PATHS)


def is_safe(command: list[str]) -> bool:
    """Whether a command is one of our launchers, options that it knows, our module, our paths."""
    if not command:
        return True
    stage = ["-m", "stages.train", *PATHS]
    words, end = command[: -len(stage)], command[-len(stage) :]
    for name in ("srun", "torchrun", "accelerate launch"):
        program = PROGRAMS[name]
        length = len(program.command)
        if words[:length] == list(program.command):
            words = words[length:]
            while words and words[0] != sys.executable:
                option = re.fullmatch(
                    r"(--[a-z-]+|-[A-Za-z])(=?[A-Za-z0-9\[][\w.,:=\[\]-]*)?", words[0]
                )
                if not option or option[1] not in f"{program.valued} {program.flags}".split():
                    return False
                words = words[1:]
    return end == stage and not words


OPTIONS = [
    option
    for program in PROGRAMS.values()
    for option in f"{program.valued} {program.flags}".split()
]
WORDS = st.sampled_from(
    [
        *sorted({word for launcher in HOSTILE for word in launcher.split()}),
        *OPTIONS,
        *("torchrun", "accelerate", "launch", "srun", "python", "-m", "--", "evil", "1"),
        *("\n", ";", "'", '"', "\\", "\u00a0", "="),
    ]
)
PREFIXES = st.sampled_from(["", "torchrun ", "accelerate launch ", "srun ", "srun -N 2 torchrun "])
LINES = st.tuples(
    PREFIXES, st.lists(WORDS | st.text(max_size=5), max_size=7), st.sampled_from(" =")
)


@pytest.mark.slow
@settings(max_examples=8 * FUZZ_EXAMPLES)
@example(line=("torchrun ", ["--nproc-per-node", "-m", "evil"], " "))
@given(line=LINES)
def test_no_string_starts_anything_but_a_launcher_of_the_stage(line):
    prefix, words, separator = line
    try:
        command = launch_command(prefix + separator.join(words), PATHS)
    except ValueError:
        return
    assert is_safe(command), command


def test_a_safe_command_is_recognised_as_such():
    assert all(is_safe(launch_command(launcher, PATHS)) for launcher, _ in ALLOWED)
    torchrun, stage = [*PYTHON, "torch.distributed.run"], ["-m", "stages.train", *PATHS]
    assert not is_safe([*torchrun, "evil.py", *stage])
    assert not is_safe([*torchrun, "--run-path", *stage])
    assert not is_safe(["sh", *stage])


@pytest.mark.parametrize("variable", LAUNCHED)
def test_a_stage_that_was_launched_is_not_launched_again(variable):
    launch("torchrun", PATHS, {variable: "0"})
    launch("python", PATHS, {})


def test_a_launcher_that_is_not_installed_is_reported_and_the_advice_works(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher = "srun -N 2 torchrun"
    expected = f"train.launcher is '{launcher}', but srun cannot be started here .*set it to python"
    with pytest.raises(UserError, match=expected):
        launch(launcher, PATHS, {"PATH": str(tmp_path)})
    launch("python", PATHS, {})


def test_the_guide_lists_every_option_and_no_other():
    guide = (ROOT / "docs" / "gpus.md").read_text("utf-8")
    for name, program in PROGRAMS.items():
        (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", guide, re.M)
        assert set(re.findall(r"`(-[^`]+)`", row)) == {
            *program.valued.split(),
            *program.flags.split(),
        }


@pytest.mark.slow
def test_dvc_starts_nothing_of_a_hostile_launcher(train_project, capfd):
    (train_project / "evil.py").write_text("open('canary', 'w')\n")
    (train_project / "evil.sh").write_text("#!/bin/sh\ntouch canary\n")
    (train_project / "evil.sh").chmod(0o755)
    launchers = (
        "python evil.py;", "sh evil.sh;", "python -c 'open(\"canary\", \"w\")';", "touch canary #",
        "$(touch canary)python", "python evil.py\n", "torchrun evil.py",
        "torchrun --no-python ./evil.sh", "torchrun --nproc-per-node 1 -m evil",
        "srun --prolog=./evil.sh torchrun",
    )  # fmt: skip
    for launcher in launchers if SOAK else launchers[::3]:
        edit(train_project, "train", launcher=launcher)
        capfd.readouterr()
        dvc("repro", "-s", "train", ok=False)
        output = "".join(capfd.readouterr())
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        assert line.startswith("error: params.yaml: train.launcher is ")
        assert len(line) <= 507
        assert "Traceback" not in output
        assert not (train_project / "canary").exists(), launcher


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        # By default, test_resume.py trains under torchrun, and test_train.py in two processes.
        pytest.param("torchrun --standalone --nproc-per-node 2", marks=soak),
        "accelerate launch --num_processes 1",
    ],
)
def test_dvc_trains_under_the_launcher_of_the_params(train_project, capfd, launcher):
    edit(train_project, "train", launcher=launcher)
    commit(train_project)
    dvc("repro", "-s", "train")
    output = "".join(capfd.readouterr())
    rows = "2 steps of 32 rows" if "2" in launcher else "4 steps of 16 rows"
    assert rows in output
    assert output.count("trained in ") == 1
    assert (train_project / "models" / "finetuned" / "model.safetensors").is_file()


@soak  # by default, the two processes of test_train.py are started by hand
@pytest.mark.slow
def test_a_stage_started_by_hand_under_a_launcher_ignores_that_of_the_params(train_project):
    edit(train_project, "train", launcher="accelerate launch --num-processes 2 --cpu")
    by_hand = ("torchrun", "--standalone", "--nproc-per-node", "1", "-m")
    with start_training(train_project, *by_hand) as stage:
        output = finish(stage)
    assert stage.returncode == 0, output
    assert "4 steps of 16 rows" in output


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("srun") is not None, reason="Slurm is installed here")
def test_a_launcher_that_cannot_be_started_is_one_line(train_project):
    edit(train_project, "train", launcher="srun torchrun")
    message = fails(*TRAIN, *TRAIN_OUTS, cwd=train_project)
    assert "but srun cannot be started here (No such file or directory)" in message
    assert not [out for out in TRAIN_OUTS if Path(out).exists()]
