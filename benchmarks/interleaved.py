"""Run contenders in turns, each in a process of its own that warms up once.

A slow minute affects all contenders equally; ratios compare contenders within one turn.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

from tqdm import tqdm

from benchmarks.machine import peak_memory
from benchmarks.workspace import ROOT

Turn = dict[str, float]


def serve(turn: Callable[[], Turn]) -> None:
    """In the contender's process: warm up with one turn, then run one for each line of input."""
    turn()
    print("ready", flush=True)
    for _ in sys.stdin:
        measured = turn()
        peak = peak_memory(resource.getrusage(resource.RUSAGE_SELF))
        print(json.dumps({**measured, "peak": peak}), flush=True)


def take_turns(
    module: str, contenders: list[str], arguments: list[str], turns: int
) -> dict[str, list[Turn]]:
    """Run `python -m module CONTENDER ARGUMENTS` of each: their turns, in the same order."""
    processes = {}
    title = module.rpartition(".")[2]
    for name in tqdm(contenders, f"{title}: load and warm up"):
        processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, name, *arguments],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        _answer(processes[name], "ready")
    results: dict[str, list[Turn]] = {name: [] for name in contenders}
    for _ in tqdm(range(turns), f"{title}: in turns"):
        for name, process in processes.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            results[name].append(json.loads(_answer(process, "{")))
    for process in processes.values():
        process.communicate()
    return results


def _answer(process: subprocess.Popen[str], start: str) -> str:
    """The next line with this prefix; libraries print, too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise SystemExit(f"{process.args!r} ended with {process.wait()}")


def median(turns: list[Turn], key: str) -> float:
    return statistics.median(turn[key] for turn in turns)


def ratio(turns: list[Turn], peers: list[Turn]) -> str:
    """The ratio to the peers' rate, turn by turn: median, lowest and highest."""
    ratios = [turn["rate"] / peer["rate"] for turn, peer in zip(turns, peers, strict=True)]
    return f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


def rates(turns: list[Turn], places: int) -> str:
    """The median rate, the lowest and the highest."""
    every = [turn["rate"] for turn in turns]
    low, middle, high = min(every), statistics.median(every), max(every)
    return f"{middle:,.{places}f} ({low:,.{places}f} to {high:,.{places}f})"
