"""What a config says about the rounds of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any

from mmseg.errors import ConfigError
from mmseg.registry import DATASETS, LABELLERS, check_arguments, check_part


@dataclass(frozen=True)
class Rounds:
    """The section ``rounds`` of a config.

    Attributes:
        number: How many rounds there are.
        length: Iterations of each round, or a list with those of every one; together ``train_cfg.max_iters``.
        labeller: Config of what chooses the labels.
        images: Config of the data set whose images are labelled, with the pipeline of a test; its labels are
            not read. Samples of the training data have the same names.
        flip: Predict the mirrored image as well.
        scales, average, rescaling, upsampling: Of :class:`~mmseg.engine.prediction.Predictor`.
        checkpoint: Weights that label instead of those of the run.
        pictures: Images that are drawn with their labels.
        reset_optimizer: The state of the optimizers (momentum) starts anew in each round.
    """

    number: int
    length: int | Sequence[int]
    labeller: Mapping[str, Any]
    images: Mapping[str, Any]
    flip: bool = True
    scales: Sequence[float] = (1.0,)
    average: str = "probabilities"
    rescaling: str = "image"
    upsampling: str = "logits"
    checkpoint: str | None = None
    pictures: int = 4
    reset_optimizer: bool = True

    @classmethod
    def from_config(cls, section: Mapping[str, Any], max_iters: int) -> "Rounds":
        """The section of a config, checked.

        Args:
            section: ``rounds`` of the config.
            max_iters: Iterations of the run.

        Raises:
            ConfigError: A key is unknown, missing or of a wrong type, the labeller does not exist, or the
                lengths do not add up to the run.
        """
        known = [each.name for each in fields(cls)]
        unknown, missing = [k for k in section if k not in known], [k for k in known[:4] if k not in section]
        if unknown or missing:
            raise ConfigError(
                f"config: rounds has {', '.join(section) or 'no keys'}"
                + (f"; {', '.join(missing)} missing" if missing else f"; {', '.join(unknown)} is unknown")
                + f"; expected {', '.join(known[:4])} and, where wanted, {', '.join(known[4:])}"
            )
        check_arguments(cls, section, "config: rounds.")
        check_part(section["labeller"], LABELLERS, "rounds.labeller")
        check_part(section["images"], DATASETS, "rounds.images")
        rounds = cls(**section)
        if rounds.number < 1 or len(rounds.lengths) != rounds.number or min(rounds.lengths) < 1:
            raise ConfigError(
                f"config: rounds.number={rounds.number} with rounds.length={rounds.length}; expected one or "
                "more rounds, and one length of at least 1, or a list of one for each round"
            )
        if rounds.pictures < 0:
            raise ConfigError(f"config: rounds.pictures={rounds.pictures}; expected a number from 0 on")
        if sum(rounds.lengths) != max_iters:
            raise ConfigError(
                f"config: the {rounds.number} rounds have {sum(rounds.lengths)} iterations (rounds.length="
                f"{rounds.length}), but train_cfg.max_iters={max_iters}; expected the same number, so change "
                "one of the two"
            )
        return rounds

    @property
    def lengths(self) -> list[int]:
        """Iterations of every round."""
        return [self.length] * self.number if isinstance(self.length, int) else list(self.length)

    def first_iteration(self, round: int) -> int:
        """Finished iterations when a round begins."""
        return sum(self.lengths[:round])

    def at(self, iteration: int) -> int:
        """The round that the step after this many finished iterations belongs to."""
        return sum(iteration >= end for end in accumulate(self.lengths))
