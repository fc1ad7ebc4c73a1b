"""Fourier translation against the published function, and against frequencies counted by hand."""

import cmath
import math

import numpy as np
import pytest
import torch
from golden_data import gen, load
from networks import assert_digest, assert_values

from mmseg.errors import ConfigError
from mmseg.models.translation import FourierTranslator
from mmseg.models.translation.fourier import low_frequencies
from mmseg.registry import TRANSLATORS

SIZES = {"": (1, 3, 128, 192), "odd_": (1, 3, 101, 135)}


def images(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(gen.image_u8(seed, shape, 16)).float()


@pytest.mark.parametrize("beta", [0.01, 0.05, 0.09])
@pytest.mark.parametrize("size", SIZES)
def test_fourier_translation_equals_the_published_one(size, beta):
    golden, case = load("domains/fda_translation"), f"{size}b{round(beta * 100):03d}"
    source, target = images(101, SIZES[size]), images(202, SIZES[size])
    found = TRANSLATORS.build(dict(type="FDA", beta=beta))(source, target)
    assert_values(found[..., ::4, ::4], golden[f"{case}_torch_s4"], rtol=0, atol=1e-3)
    exact = FourierTranslator(beta)(source.double(), target.double())
    assert_digest(exact, golden[f"{case}_torch_digest"], rtol=1e-9)
    np.testing.assert_allclose([found.min(), found.max()], golden[f"{case}_torch_min_max"], atol=1e-3)


@pytest.mark.parametrize("size", [(9, 12), (10, 11)])
@pytest.mark.parametrize("half_width", [0, 1, 2, 3])
def test_exchanged_frequencies(size, half_width):
    """The rule, frequency by frequency, on a discrete Fourier transform that is written out."""
    height, width = size
    random = torch.Generator().manual_seed(0)
    source, target = torch.rand(2, 1, 1, height, width, generator=random, dtype=torch.float64)
    beta = (half_width + 0.5) / min(size)
    before, after, other = (
        transformed(x[0, 0]) for x in (source, FourierTranslator(beta)(source, target), target)
    )
    exchanged = 0
    for (u, v), value in after.items():
        own, mirrored = rule(u, v, half_width), rule(-u, -v, half_width)
        expected = before[u, v]
        if own or mirrored:
            exchanged += 1
            expected = cmath.rect(abs(other[u, v]), cmath.phase(expected))
        assert abs(value - expected) < 1e-9, (u, v)
    assert exchanged == {0: 0, 1: 1, 2: 11, 3: 29}[half_width]


def rule(u: int, v: int, b: int) -> bool:
    return (v == 0 and abs(u) <= b - 1) or (1 <= v <= b - 1 and -b <= u <= b - 1)


def transformed(image: torch.Tensor) -> dict[tuple[int, int], complex]:
    """(u, v), both around 0, to the coefficient."""
    height, width = image.shape
    spectrum = torch.fft.fft2(image)
    rows = [u if u < (height + 1) // 2 else u - height for u in range(height)]
    columns = [v if v < (width + 1) // 2 else v - width for v in range(width)]
    return {(u, v): complex(spectrum[u, v]) for u in rows for v in columns}


def test_mean_colours_are_exchanged_alone():
    source, target = images(1, (2, 3, 16, 24)), images(2, (2, 3, 16, 24))
    found = FourierTranslator(1 / 16)(source, target)
    mean = [x.mean(dim=(2, 3), keepdim=True) for x in (source, target)]
    torch.testing.assert_close(found, source - mean[0] + mean[1], rtol=0, atol=1e-3)
    torch.testing.assert_close(FourierTranslator(0)(source, target), source, rtol=0, atol=1e-3)
    assert math.prod(low_frequencies(8, 8, 0, source.device).shape) == 40


def test_fourier_translation_names_what_is_wrong():
    with pytest.raises(ConfigError, match="give both domains the same crop_size"):
        FourierTranslator()(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
    with pytest.raises(ConfigError, match=r"beta=0.5; expected a share"):
        TRANSLATORS.build(dict(type="FDA", beta=0.5))
