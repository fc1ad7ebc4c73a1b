"""One number per image, by which images are ranked."""

from collections.abc import Callable, Sequence

from mmengine.dist import all_gather_object
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.labeller import Survey, of_round


class ImageScores(Survey):
    """Scores of all images.

    Args:
        score: (K, H, W) probabilities -> a number.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        self.score = score
        self.scores: dict[str, float] = {}

    def add(self, name: str, probabilities: Tensor) -> None:
        self.scores[name] = self.score(probabilities).item()

    def merge(self) -> None:
        gathered = all_gather_object(self.scores)
        self.scores = {name: score for scores in gathered for name, score in scores.items()}

    def split(self, share: float, ascending: bool) -> dict[str, list[str]]:
        """The first ⌊share · n⌋ images as ``easy``, the others as ``hard``, in the order of their scores.

        Args:
            share: Of easy images.
            ascending: Whether easy images have low scores; equal scores are ordered by name.
        """
        sign = 1 if ascending else -1
        order = sorted(self.scores, key=lambda name: (sign * self.scores[name], name))
        number = number_of_easy(share, len(order))
        return {"easy": order[:number], "hard": order[number:]}


def number_of_easy(share: float, images: int) -> int:
    """How many of the images are easy, ⌊share · n⌋."""
    return int(share * images)


def check_easy_share(
    kind: str, easy_share: float | Sequence[float], rounds: int, images: int, hard_ones_too: bool
) -> None:
    """Refuse a share that leaves no easy images, before anything is labelled.

    Args:
        kind: Type of the labeller, for the message.
        easy_share: Its share of easy images, one or one for each round.
        rounds: Number of rounds.
        images: Number of images.
        hard_ones_too: Whether hard images are needed as well, as in training.

    Raises:
        ConfigError: In some round there are none.
    """
    for round in range(rounds):
        share = of_round(easy_share, round)
        easy = number_of_easy(share, images)
        missing = "easy" if easy < 1 else "hard" if hard_ones_too and easy == images else ""
        if missing:
            raise ConfigError(
                f"{kind}: easy_share={share} of {images} images are {easy} easy ones, which leaves no "
                f"{missing} images in round {round + 1}; change easy_share, or give more images"
            )
