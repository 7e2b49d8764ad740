"""How this process keeps its memory: glibc's settings, elsewhere nothing happens."""

import ctypes

# malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4


def keep_freed_memory() -> None:
    """Keep what the tensors of a step free for those of the next.

    glibc gives large blocks back to the kernel, which then fills every page of the next ones with
    zeros. Must run before the tensors come.
    """
    _set({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def give_back_freed_memory() -> None:
    """Give large arrays back to the kernel at once, whatever was freed before."""
    _set({MMAP_THRESHOLD: 2**17})


def _set(options: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options.items():
            mallopt(option, value)
