"""What a benchmark sets for its process does not reach other tests."""

import cv2
import pytest
import torch


@pytest.fixture(autouse=True)
def same_process_settings():
    """Put threads and cuDNN settings back."""
    threads, cv2_threads, benchmark = (
        torch.get_num_threads(), cv2.getNumThreads(), torch.backends.cudnn.benchmark,
    )  # fmt: skip
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(cv2_threads)
    torch.backends.cudnn.benchmark = benchmark
