"""The thirteen convolutions of VGG-16 and the names that its weights have elsewhere.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
configuration D.
"""

import re
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log
from torch import Tensor, nn

STAGES: Sequence[Sequence[int]] = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
"""Channels of the 3×3 convolutions of each stage, behind which the map is pooled."""
TORCHVISION = ("0", "2", "5", "7", "10", "12", "14", "17", "19", "21", "24", "26", "28")
"""Place of each convolution in the ``features`` of torchvision and timm."""
CAFFE = tuple(f"conv{stage}_{n}" for stage, widths in enumerate(STAGES, 1) for n, _ in enumerate(widths, 1))
FULLY_CONNECTED = {
    "fc6": ("classifier.0", "pre_logits.fc1", "fc6"),
    "fc7": ("classifier.3", "pre_logits.fc2", "fc7"),
}
"""Layers behind the pyramid and their names in torchvision, timm and Caffe."""


class VGG16(nn.Module):
    """VGG-16 whose fully connected layers are convolutions.

    Args:
        num_pools: How many of the five 2×2 max pools there are; later stages have no stride.
        ceil_mode: Whether the pools round sizes up.
        dilation: Of the last stage.
        fc6: Convolution behind the last stage.
        fc7: The next one.
        dropout_ratio: Probability of leaving out a whole channel behind each of the two.

    Attributes:
        features: Convolutions, ReLUs and pools, numbered one after the other.
        ends: For each stage the number of layers up to its last ReLU, without its pool.
    """

    def __init__(
        self,
        num_pools: int,
        ceil_mode: bool,
        dilation: int,
        fc6: nn.Conv2d,
        fc7: nn.Conv2d,
        dropout_ratio: float,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.ends: list[int] = []
        width = 3
        for stage, widths in enumerate(STAGES, start=1):
            step = dilation if stage == len(STAGES) else 1
            for channels in widths:
                self.features.append(nn.Conv2d(width, channels, 3, padding=step, dilation=step))
                self.features.append(nn.ReLU(inplace=True))
                width = channels
            self.ends.append(len(self.features))
            if stage <= num_pools:
                self.features.append(nn.MaxPool2d(2, ceil_mode=ceil_mode))
        self.fc6, self.fc7 = fc6, fc7
        self.dropout = nn.Dropout2d(dropout_ratio)
        self._places = [
            str(place) for place, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d)
        ]

    def fully_connected(self, feature_map: Tensor) -> Tensor:
        """The last stage's (B, 512, h, w) through ``fc6`` and ``fc7``, each with ReLU and dropout."""
        for conv in (self.fc6, self.fc7):
            feature_map = self.dropout(conv(feature_map).relu())
        return feature_map

    def own_name(self, name: str) -> str:
        """Name here of an entry that Caffe's converters name ``conv<stage>_<number>``."""
        layer, _, entry = name.partition(".")
        return f"features.{self._places[CAFFE.index(layer)]}.{entry}" if layer in CAFFE else name

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a classifier, by names of torchvision, timm or Caffe, as entries of this module.

        Layers ``fc6`` and ``fc7`` of another size than the classifier's keep the values that they have, and
        so do those that the file lacks; the log says so.
        """
        numbered = f"features.{TORCHVISION[-1]}.weight" in state
        adapted: dict[str, Tensor] = {}
        for name, value in state.items():
            if numbered and (place := re.fullmatch(r"features\.(\d+)\.(\w+)", name)):
                name = f"{CAFFE[TORCHVISION.index(place[1])]}.{place[2]}"
            adapted[self.own_name(name)] = value
        kept = []
        for layer, names in FULLY_CONNECTED.items():
            for entry, ours in self.get_submodule(layer).state_dict().items():
                given = [adapted.pop(f"{name}.{entry}") for name in names if f"{name}.{entry}" in adapted]
                fits = bool(given) and given[0].numel() == ours.numel()
                adapted[f"{layer}.{entry}"] = given[0].reshape(ours.shape) if fits else ours
                kept += [] if fits else [f"{layer}.{entry}"]
        if kept:
            print_log(f"{type(self).__name__}: not in the file, as initialised: {', '.join(kept)}", "current")
        return adapted
