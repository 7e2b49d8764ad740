"""Start the stage on several devices: a launcher with known options, and no shell."""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted


class Program(NamedTuple):
    """A launcher: how it is started, and its options that choose devices."""

    command: tuple[str, ...]
    valued: str
    """Options that take a value, in the launcher's spelling."""
    flags: str
    """Options without a value."""


# Everything else is refused: other options name a file, a program or a plug-in to run, or change
# what is computed. docs/gpus.md lists these.
PROGRAMS = {
    "torchrun": Program(
        (sys.executable, "-m", "torch.distributed.run"),
        "--nnodes --nproc-per-node --node-rank --master-addr --master-port --local-addr "
        "--rdzv-backend --rdzv-endpoint --rdzv-id --max-restarts --monitor-interval "
        "--numa-binding",
        "--standalone",
    ),
    "accelerate launch": Program(
        (sys.executable, "-m", "accelerate.commands.launch"),
        "--num-processes --num-machines --machine-rank --main-process-ip --main-process-port "
        "--num-cpu-threads-per-process --gpu-ids --rdzv-backend --max-restarts "
        "--monitor-interval",
        "--cpu --multi-gpu --same-network --enable-cpu-affinity",
    ),
    "srun": Program(
        ("srun",),
        "--account --constraint --cpu-bind --cpus-per-task --exclude --gpu-bind --gpus "
        "--gpus-per-node --gpus-per-task --gres --hint --job-name --mem --mem-per-cpu "
        "--mem-per-gpu --nodelist --nodes --ntasks --ntasks-per-node --partition --qos "
        "--reservation --time -A -c -C -G -J -N -n -p -q -t -w -x",
        "--exclusive --kill-on-bad-exit --label --unbuffered -K -l -u",
    ),
}
ALLOWED = (
    "should be python, or torchrun or accelerate launch, also after srun, "
    "with options that docs/gpus.md lists"
)
VALUE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.,:=\[\]-]{0,99}")
# Set for the launcher; torchrun and accelerate set the others for the processes that they start.
STARTED = "YELP_STARS_LAUNCHED"
LAUNCHED = (STARTED, "LOCAL_RANK", "ACCELERATE_MIXED_PRECISION")


def check_launcher(launcher: str) -> str:
    """Return `launcher` if it is python, or a launcher with known options.

    Raises:
        ValueError: with what it should be.
    """
    launch_command(launcher, [])
    return launcher


def launch_command(launcher: str, paths: Sequence[str]) -> list[str]:
    """The command that `launcher` stands for; an empty list if it is python.

    Every option and its value are one word, so that no value can be read as the program to run.

    Raises:
        ValueError: if `launcher` is anything but a launcher with known options.
    """
    try:
        words = shlex.split(launcher)
    except ValueError:
        raise ValueError(f"a quote is not closed; {ALLOWED}") from None
    if words == ["python"]:
        return []
    command: list[str] = []
    if words[:1] == ["srun"]:
        words = _add_program("srun", words[1:], command)
    for name in ("torchrun", "accelerate launch"):
        length = len(name.split())
        if words[:length] == name.split():
            rest = _add_program(name, words[length:], command)
            if rest:
                raise ValueError(f"{quoted(rest[0])} is not an option of {name}; {ALLOWED}")
            return [*command, "-m", "stages.train", *paths]
    raise ValueError(ALLOWED)


def _add_program(name: str, words: list[str], command: list[str]) -> list[str]:
    """Move a program and its options from `words` to `command`; returns the words after them."""
    program = PROGRAMS[name]
    command.extend(program.command)
    valued, flags, seen = program.valued.split(), program.flags.split(), set()
    while words and words[0].startswith("-"):
        word, *words = words
        option, given, value = word.partition("=")
        if not option.startswith("--"):  # -N2 is -N 2
            option, given = word[:2], word[2:]
            value = given
        elif name != "srun":
            option = option.replace("_", "-")
        if option in seen or option not in [*valued, *flags]:
            why = "is given twice" if option in seen else f"is not an allowed option of {name}"
            raise ValueError(f"{quoted(option)} {why}; {ALLOWED}")
        seen.add(option)
        if option in flags:
            if given:
                raise ValueError(f"{quoted(option)} of {name} takes no value; {ALLOWED}")
            command.append(option)
            continue
        if not given:
            value, *words = words or [""]
        if not VALUE.fullmatch(value):
            raise ValueError(f"{quoted(value)} is not a value for {option} of {name}; {ALLOWED}")
        command.append(f"{option}={value}" if option.startswith("--") else f"{option}{value}")
    return words


def launch(launcher: str, paths: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replace this process by its launcher, unless that has started it.

    Raises:
        UserError: if the launcher is not installed.
    """
    command = launch_command(launcher, paths)
    if not command or any(name in environment for name in LAUNCHED):
        return
    try:
        os.execvpe(command[0], command, {**environment, STARTED: "1"})  # noqa: S606
    except OSError as error:
        raise UserError(
            f"train.launcher is {quoted(launcher)}, but {command[0]} cannot be started here "
            f"({error.strerror}); set it to python, or run `dvc repro` where it is installed"
        ) from None
