"""Class probabilities of the images of a data set, as labellers take them."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.errors import ConfigError
from mmseg.models.layers.resize import resize
from mmseg.models.segmentors.inference import Inference

Size = tuple[int, int]
PREDICTION = ("scales", "flip", "average", "rescaling", "upsampling")
"""Arguments of a :class:`Predictor` that a config may set for its ``rounds``."""


class Predictor:
    """Predicts images of a data set at their original size: index -> (K, H, W) float32 on the device.

    Args:
        model: In eval mode.
        dataset: In test mode; its pipeline says how images are read and scaled. Labels are not read.
        scales: Factors of the size that images have behind the pipeline.
        flip: Predict each of these for the mirrored image as well.
        average: What the mean over them is taken of.
        rescaling: ``image`` resizes the image by the factor, as CRST's code does for labels; ``input`` what
            the network takes, with aligned corners, to the size that the factor gives, rounded down, as it
            does for tests. Both are bilinear.
        upsampling: ``logits`` as the network does in a test; ``cbst`` enlarges the probabilities that the
            network has at its own stride as CBST's code does, see :func:`enlarge_as_cbst`.

    Raises:
        ConfigError: The data set is not in test mode, or an argument is not one of the above.
    """

    def __init__(
        self,
        model: Inference,
        dataset: SegmentationDataset,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        average: Literal["probabilities", "logits"] = "probabilities",
        rescaling: Literal["image", "input"] = "image",
        upsampling: Literal["logits", "cbst"] = "logits",
    ) -> None:
        if not dataset.test_mode:
            raise ConfigError("images to label: found a data set for training; set test_mode=True in it")
        if not scales or min(scales) <= 0:
            raise ConfigError(f"images to label: scales={list(scales)}; expected positive factors")
        for name, value, known in (
            ("average", average, ("probabilities", "logits")),
            ("rescaling", rescaling, ("image", "input")),
            ("upsampling", upsampling, ("logits", "cbst")),
        ):
            if value not in known:
                raise ConfigError(f"images to label: {name}={value!r}; expected one of {', '.join(known)}")
        if average == "logits" and upsampling == "cbst":
            raise ConfigError("images to label: upsampling='cbst' enlarges probabilities; set average so")
        self.model, self.dataset = model, dataset.without_labels()
        self.scales, self.flip = scales, flip
        self.average, self.rescaling, self.upsampling = average, rescaling, upsampling

    @property
    def names(self) -> list[str]:
        """Names of the images."""
        return [sample.name for sample in self.dataset.samples]

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        sample = self.dataset[index]
        meta = sample["img_metas"]
        size, (height, width) = meta["ori_shape"][:2], meta["img_shape"][:2]
        content = sample["img"][:, :height, :width].permute(1, 2, 0).numpy()
        total = torch.zeros(())
        for scale in self.scales:
            img = self._network_input(content, scale)
            scores = self._scores(img, size)
            if self.flip:
                scores = (scores + self._scores(img.flip(3), size).flip(3)) / 2
            total = total.to(scores) + scores[0] / len(self.scales)
        return total.softmax(dim=0) if self.average == "logits" else total

    def _network_input(self, image: npt.NDArray, scale: float) -> Tensor:
        if self.rescaling == "image" and scale != 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        img = self.model.data_preprocessor({"img": pixels})["img"]
        if self.rescaling == "image":
            return img
        return resize(img, [int(length * scale) for length in img.shape[2:]], align_corners=True)

    def _scores(self, img: Tensor, size: Size) -> Tensor:
        """(1, K, H, W) probabilities, or logits where those are averaged."""
        if self.upsampling == "logits":
            logits = self.model.predict(img, size)
            return logits if self.average == "logits" else logits.softmax(dim=1)
        maps = self.model.encode_decode(img, upscale_pred=False)[0].softmax(dim=0).cpu().numpy()
        return torch.from_numpy(enlarge_as_cbst(maps, (img.shape[2], img.shape[3]), size))[None].to(img)


def enlarge_as_cbst(maps: npt.NDArray[np.float32], input_size: Size, size: Size) -> npt.NDArray[np.float32]:
    """Probabilities of CBST's code: each map is enlarged by the network's stride with bicubic interpolation,
    cut to the size of the input and resized to that of the image.

    The last step is bicubic where both sides grow, Lanczos where both shrink, and bilinear otherwise. Values
    may leave [0, 1]; they still sum up to 1.

    Args:
        maps: (K, h, w).
        input_size: (height, width) of the network's input.
        size: (H, W) of the result.
    """
    height, width = input_size
    stride = -(-height // maps.shape[1])
    method = Image.Resampling.BILINEAR
    if size[0] > height and size[1] > width:
        method = Image.Resampling.BICUBIC
    elif size[0] < height and size[1] < width:
        method = Image.Resampling.LANCZOS
    enlarged = np.empty((len(maps), *size), np.float32)
    for values, result in zip(maps, enlarged, strict=True):
        picture = Image.fromarray(values)
        picture = picture.resize((stride * picture.width, stride * picture.height), Image.Resampling.BICUBIC)
        result[:] = np.asarray(picture.crop((0, 0, width, height)).resize(size[::-1], method))
    return enlarged


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of all parameters and stored buffers of a network, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
