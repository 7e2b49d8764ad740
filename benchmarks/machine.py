"""The machine and the versions behind a figure."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path


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
