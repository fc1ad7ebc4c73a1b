"""Batch norms that take the statistics of other images: AdaBN, after any training.

Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization For Practical Domain Adaptation", ICLR workshop 2017.
A network is tested with running statistics of what it was trained on: source images, and mixed ones.
Encoders with batch norm (MiT has none) then see the target through the statistics of another domain, whatever
they have learnt.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.apis.inference import Image, prepared
from mmseg.datasets.files import IMAGE_ENDINGS, find_files
from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder


@torch.inference_mode()
def adapt_norms(model: EncoderDecoder, pipeline: Sequence[dict], imgs: Sequence[Image]) -> int:
    """Replace the running statistics of a network's batch norms by those of images, which need no labels.

    They are the mean over the images of the mean and variance in each, in the passes that predict it (alg.
    1). Weights stay as they are.

    Args:
        model: The network; it is in eval mode afterwards.
        pipeline: How images are read and scaled, as for the test.
        imgs: Files, or (H, W, 3) uint8 BGR arrays.

    Returns:
        Number of batch norms.

    Raises:
        ConfigError: The network has no batch norm with running statistics, or there is no image.
        DataError: A file is missing or is not an image.
    """
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms or not imgs:
        missing = "image" if norms else "batch norm with running statistics in the network"
        raise ConfigError(f"norm statistics: found no {missing}, expected some; leave --norm-images out")
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all passes
        norm.train()
    for img in imgs:
        image, size = prepared(model, pipeline, img)
        model.predict(image, size=size)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    print_log(f"Statistics of {len(norms)} batch norms: those of {len(imgs)} images", "current")
    return len(norms)


def image_files(places: Sequence[str | Path]) -> list[str]:
    """The images that some files and folders are or hold, sorted in each folder.

    Raises:
        ConfigError: A place does not exist, or a folder holds no image.
    """
    files: list[str] = []
    for place in map(Path, places):
        found = list(find_files(place, IMAGE_ENDINGS).paths.values()) if place.is_dir() else [str(place)]
        if not place.exists() or not found:
            raise ConfigError(f"--norm-images {place}: found no image; expected files or folders of images")
        files += found
    return files
