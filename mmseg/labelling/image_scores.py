"""One number per image, by which images are ranked."""

from collections.abc import Callable

from mmengine.dist import all_gather_object
from torch import Tensor

from mmseg.labelling.labeller import Survey


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
        number = int(share * len(order))
        return {"easy": order[:number], "hard": order[number:]}
