"""glibc's malloc settings; a no-op on other C libraries."""

import ctypes

# malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4


def reuse_freed_memory() -> None:
    """Reuse freed tensor memory between steps instead of returning it to the kernel.

    The kernel would zero every page of the next tensors. Call it before tensors are allocated.
    """
    _set({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def release_freed_memory() -> None:
    """Return large arrays to the kernel as soon as they are freed.

    Smaller ones, such as those of a batch, are reused: new pages took a quarter of an audit's time.
    """
    _set({MMAP_THRESHOLD: 2**22})


def _set(options: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options.items():
            mallopt(option, value)
