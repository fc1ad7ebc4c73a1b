"""What a process of the package does with the memory of the host."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")

FAULTS = """
import resource
import mmseg
import torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 2**18)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(20):  # small remains of the first blocks lie between them until the allocator keeps no more
    faults()
print(faults())
"""
PAGES = 64 * 2**20 // 4096


def tensor_faults(**environment: str) -> int:
    """Pages that the kernel provides for a tensor as large as those that were freed before."""
    process = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return int(process.stdout)


def test_memory_of_a_freed_tensor_is_used_again() -> None:
    assert tensor_faults() < PAGES / 10


def test_the_allocator_can_be_left_as_it_is() -> None:
    assert tensor_faults(MMSEG_KEEP_FREED_MEMORY="0") >= PAGES
