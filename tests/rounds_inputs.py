"""Inputs of the stored numbers of the self-training group (tests/golden/survey/rounds)."""

import numpy as np
from golden_data import gen

ABSENT, TINY = 16, 17  # a class that is never predicted, and one predicted for 25 pixels
HEIGHT, WIDTH = 64, 128


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def probability_maps(classes: int = 19) -> np.ndarray:
    """(8, K, 64, 128) float32 in whole multiples of 2⁻²⁰, so that nothing hangs on the last bit of exp."""
    maps = []
    for index in range(8):
        shapes = [(classes, HEIGHT // 16, WIDTH // 16), (classes, HEIGHT, WIDTH)]
        coarse, fine = (each.astype(np.float64) for each in gen.feats(7000 + index, shapes))
        logits = 2.5 * coarse.repeat(16, 1).repeat(16, 2) + 0.8 * fine
        logits -= 0.2 * np.arange(classes)[:, None, None]
        if classes > TINY:
            logits[ABSENT] = -100
            logits[TINY] -= 2
        maps.append(np.round(softmax((0.6 + 0.2 * index) * logits) * 2**20) / 2**20)
    return np.stack(maps).astype(np.float32)


def prior() -> np.ndarray:
    """(19, 64, 128) float32 in whole multiples of 2⁻¹²; each class has the mean 1."""
    y = np.linspace(-1, 1, HEIGHT)[None, :, None]
    x = np.linspace(-1, 1, WIDTH)[None, None]
    k = np.arange(19)[:, None, None]
    values = 1 + 0.6 * np.cos(0.7 * k + 1.5 * y) * np.cos(0.3 * k + x)
    return (np.round(values * 2**12) / 2**12).astype(np.float32)
