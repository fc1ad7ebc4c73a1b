"""What a labeller is: which pixels of unlabelled images get which label; probabilities in, labels out."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class ImageLabel:
    """Labels of an image.

    Attributes:
        label: (H, W) uint8 classes; 255 where none was chosen.
        soft: (K, H, W) float32 soft labels in [0, 1], 0 where none was chosen; None for hard labels alone.
    """

    label: Tensor
    soft: Tensor | None = None


class Survey(ABC):
    """Something to find out about all images before the first one is labelled.

    Its size must not grow with the pixels of the images, and what it says may depend neither on their order
    nor on the number of processes.
    """

    @abstractmethod
    def add(self, name: str, probabilities: Tensor) -> None:
        """Take an image into account.

        Args:
            name: Of the image.
            probabilities: (K, H, W) float32 class probabilities.
        """

    @abstractmethod
    def merge(self) -> None:
        """Put together what the processes have found, each on its own images; all of them call it
        together."""


class Choice(ABC):
    """How each image is labelled.

    Attributes:
        summary: What was found, for ``summary.json``, e.g. ``thresholds`` and ``rare_classes``.
        splits: Lists of names of images, e.g. ``easy`` and ``hard``.
    """

    summary: dict[str, Any]
    splits: dict[str, list[str]]

    def __init__(
        self, summary: dict[str, Any] | None = None, splits: dict[str, list[str]] | None = None
    ) -> None:
        self.summary, self.splits = summary or {}, splits or {}

    @abstractmethod
    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        """Labels of an image, or None where it gets none.

        Args:
            name: Of the image.
            probabilities: (K, H, W) float32 class probabilities, as the surveys saw them.
        """


class Labeller(ABC):
    """A short program that yields what it wants to know about all images and returns their labelling.

    Arguments are kept as attributes of the same name, which describe the labels of a round; so do other
    public attributes.
    """

    soft_labels: ClassVar[bool] = False
    """Whether labels may be soft."""
    splits_images: ClassVar[bool] = False
    """Whether it labels easy images alone, and tells them from hard ones."""

    @abstractmethod
    def choose(self, round: int, num_classes: int) -> Generator[Survey, None, Choice]:
        """Yield surveys, each of which is shown all images and merged before this goes on.

        Args:
            round: Counts from 0.
            num_classes: Number of classes K.
        """

    def check_images(self, rounds: int, images: int, trains: bool) -> None:  # noqa: B027
        """Refuse images that cannot be labelled as it should, before anything is predicted.

        Args:
            rounds: Number of rounds.
            images: Number of images.
            trains: Whether a training follows, which needs the images without labels, too.

        Raises:
            ConfigError: They cannot.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """Type and public attributes."""
        public = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {"type": type(self).__name__, **public}


def of_round(values: float | Sequence[float], round: int) -> float:
    """The entry of a round, counted from 0; the last one holds for all rounds after it."""
    return values[min(round, len(values) - 1)] if isinstance(values, Sequence) else values
