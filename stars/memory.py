"""How this process keeps its memory."""

import ctypes


def keep_freed_memory() -> None:
    """Let glibc keep what the tensors of a step free for those of the next.

    It gives large blocks back to the kernel, which then fills every page of the next ones with
    zeros. Must run before the tensors come. Elsewhere than on glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
