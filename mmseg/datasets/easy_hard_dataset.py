"""Pairs of target images of a round: easy ones with labels, hard ones without (IntraDA, Pan et al., CVPR
2020; TPLD, Shin et al., ECCV 2020)."""

from __future__ import annotations

from mmseg.datasets.domains import Domain
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import Results
from mmseg.datasets.uda_dataset import UDADataset
from mmseg.errors import ConfigError, DataError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.registry import DATASETS

SPLITS = ("easy", "hard")


@DATASETS.register_module()
class EasyHardDataset(UDADataset):
    """The easy images of a round, with its labels, as source and the hard ones as target.

    Args:
        target: Images of the target, as a data set or its config.
        seed: Seed of everything that is drawn.
    """

    soft_targets = True
    splits_images = True

    def __init__(self, target: dict | SegmentationDataset, seed: int = 0) -> None:
        images = DATASETS.build({**target, "load_labels": False}) if isinstance(target, dict) else target
        self.images = images.without_labels()
        self.sources = self.targets = [Domain(self.images)]
        self.sync_crop_size, self.mode = None, "mixed"
        self.labels: RoundLabels | None = None
        self.seed = seed

    def begin_round(self, labels: RoundLabels, first_position: int) -> None:
        """Split the images as the round has, and use its labels; see the base class.

        Raises:
            DataError: The round has not split the images, or knows others.
        """
        missing = [name for name in SPLITS if not labels.splits.get(name)]
        if missing:
            raise DataError(
                f"{labels.folder}: holds no {' and no '.join(missing)} images, expected some of both; take a "
                "labeller that splits the images, as EntropyRanking"
            )
        easy, hard = (self.images.subset(labels.splits[name]) for name in SPLITS)
        self.sources, self.targets = [Domain(easy.with_labels(labels))], [Domain(hard)]
        self.labels = labels

    def __getitem__(self, position: int) -> Results:
        """Pair ``position`` of a run, a pure function of seed and position.

        Raises:
            ConfigError: No round has begun.
        """
        if self.labels is None:
            raise ConfigError(
                "config: EasyHardDataset does not know yet which images are easy; expected rounds=dict("
                "number=..., length=..., labeller=dict(type='EntropyRanking')) in the config"
            )
        return super().__getitem__(position)
