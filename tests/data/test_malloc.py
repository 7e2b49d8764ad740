"""glibc's malloc settings do what they are for."""

import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")


def in_a_process(code: str) -> int:
    """Run code in a fresh process, where nothing is freed yet, and return the number it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@glibc
@pytest.mark.parametrize(("setting", "reused"), [("", False), ("reuse_freed_memory()", True)])
def test_freed_tensors_are_reused_without_page_faults(setting, reused):
    faults = in_a_process(f"""
import resource
import numpy as np
from yelp_stars.data.malloc import reuse_freed_memory

{setting}
def step():
    first = np.ones(10_000_000)  # 80 MB: 20,000 pages
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
""")
    # Pages may be huge (2 MB) by default: 40 faults instead of 20,000.
    assert (faults < 20) == reused


@glibc
def test_large_arrays_are_returned_to_the_kernel_when_freed():
    resident = in_a_process("""
import os
import numpy as np
from yelp_stars.data.malloc import release_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

release_freed_memory()
large = np.ones(1_000_000)
del large  # by default, glibc would now keep what is smaller than these 8 MB
before = resident()
arrays = [np.ones(625_000) for _ in range(16)]  # 5 MB each
last = np.ones(1000)  # stays at the end of the heap
assert resident() - before > 70_000_000
del arrays
print(resident() - before)
""")
    assert resident < 10_000_000
