"""The machine and the versions behind a figure."""

import importlib.metadata
import os
import platform
from pathlib import Path


def describe_machine(*packages: str) -> str:
    """Processor, cores, memory, Python, and the versions of `packages`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB; {platform.system()}, "
        f"Python {platform.python_version()}; {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()
