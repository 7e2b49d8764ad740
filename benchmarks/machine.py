"""The machine and the versions behind a figure."""

import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yelp_stars.pipeline.params import Precision

SIZE, PRODUCTS = 2048, 4  # of the square matrices, and how many each thread multiplies


def describe_machine(*packages: str) -> str:
    """Processor, cores, memory, Python, and the versions of `packages`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB; {platform.system()}, "
        f"Python {platform.python_version()}; {versions}"
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name of the processor; on macOS, which lacks that file, its architecture."""
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def peak_memory(usage: resource.struct_rusage, system: str = sys.platform) -> int:
    """Peak resident memory in bytes: macOS counts bytes, Linux kilobytes."""
    return usage.ru_maxrss * (1 if system == "darwin" else 1024)


def product_rate(precision: Precision) -> float:
    """The FLOP/s of plain matrix products, the best of three: each thread has its own."""
    import torch  # late: the data stages are measured without it

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    cores = torch.get_num_threads()

    def multiply(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.randn(SIZE, SIZE, generator=generator).to(dtype)
        product = torch.empty_like(matrix)
        for _ in range(PRODUCTS):
            torch.mm(matrix, matrix, out=product)

    torch.set_num_threads(1)
    best = float("inf")
    try:
        with ThreadPoolExecutor(cores) as pool:
            for _ in range(3):
                started = time.perf_counter()
                list(pool.map(multiply, range(cores)))
                best = min(best, time.perf_counter() - started)
    finally:
        torch.set_num_threads(cores)
    return cores * PRODUCTS * 2 * SIZE**3 / best


def checkpoint_flops(lengths: list[int], checkpoint: Path) -> int:
    """The `encoder_flops` of a checkpoint's folder."""
    config = json.loads((checkpoint / "config.json").read_text())
    shape = [config[f"{name}_size"] for name in ("hidden", "intermediate")]
    return encoder_flops(lengths, config["num_hidden_layers"], *shape)


def encoder_flops(lengths: list[int], layers: int, hidden: int, intermediate: int) -> int:
    """The floating-point operations of an encoder's matrix products on texts of these lengths.

    A token multiplies with four square matrices and two of the feed-forward part in each layer,
    and with each token of its text twice. Padding counts nothing, nor does a shortcut: this is the
    work of the plain model, of which every way has the same.
    """
    weights = 4 * hidden**2 + 2 * hidden * intermediate
    return sum(2 * layers * n * (weights + 2 * n * hidden) for n in lengths)
