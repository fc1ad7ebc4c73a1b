"""Training in rounds: the network labels the target, trains on these labels, labels it again."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner.loops import _InfiniteDataloaderIterator

from mmseg.checkpoints.weights import load_checkpoint
from mmseg.datasets import SegmentationDataset
from mmseg.engine.label_pictures import draw_labels
from mmseg.engine.prediction import PREDICTION, Predictor, weights_digest
from mmseg.engine.train_loop import SafeTrainLoop
from mmseg.errors import CheckpointError, DataError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.labelling.label_images import label_images
from mmseg.labelling.labeller import Labeller
from mmseg.labelling.rounds import Rounds
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.registry import DATASETS, LABELLERS, LOOPS, MODELS

WEIGHTS = "weights_of_round"
"""Name of the digest of the weights that labelled the round, in the state of a run."""
LENGTHS = "lengths_of_rounds"
"""Name of the lengths of the rounds, in the state of a run."""


@LOOPS.register_module()
class RoundsTrainLoop(SafeTrainLoop):
    """A training whose rounds begin with labels of the target::

        for r in range(rounds):
            labels = labeller(network(x) for x in target images)      # WORK_DIR/rounds/r, whole or not at all
            data set and method begin the round with these labels, the optimizer without momentum
            for t in range(length of the round):
                step(next batch)

    The round is a function of the iteration. A checkpoint is written before the images are labelled, so a run
    that is killed meanwhile labels them again with the same weights; inside a round it needs the folder.

    Args:
        rounds: Section ``rounds`` of the config, see :class:`~mmseg.labelling.rounds.Rounds`.
        others: Of the base class.

    Raises:
        ConfigError: A setting is unknown or does not fit.
    """

    dataloader: Any

    def __init__(self, runner: Any, dataloader: Any, rounds: dict, **others: Any) -> None:
        super().__init__(runner, dataloader, **others)
        self.rounds = Rounds.from_config(rounds, self._max_iters)
        self.labeller: Labeller = LABELLERS.build(dict(self.rounds.labeller))
        settings = {**self.rounds.images, "load_labels": False, "test_mode": True}
        self.images: SegmentationDataset = DATASETS.build(settings)
        self.labeller.check_images(self.rounds.number, len(self.images), trains=True)
        names = [self.rounds.images, [sample.name for sample in self.images.samples]]
        self.prediction = {
            **{key: getattr(self.rounds, key) for key in PREDICTION},
            "images": hashlib.sha256(json.dumps(names, default=str, sort_keys=True).encode()).hexdigest(),
        }
        self.round: int | None = None

    def folder(self, round: int) -> Path:
        """Where the labels of a round are."""
        return Path(self.runner.work_dir) / "rounds" / str(round)

    def _next_batch(self) -> dict:
        round = self.rounds.at(self._iter)
        if round != self.round:
            self._begin_round(round)
        return super()._next_batch()

    def _begin_round(self, round: int) -> None:
        """Label the images, or on a resume inside the round read their labels, and hand them out."""
        first = self.rounds.first_iteration(round)
        self._check_lengths(round + (self._iter > first))
        self.dataloader_iterator = None  # its workers hold the data of the round before
        labels = self._labelled(round) if self._iter == first else self._read(round)
        share = labels.summary["labelled_share"]
        classes = zip(labels.classes, labels.summary["class_shares"], strict=True)
        self.runner.logger.info(
            f"Round {round + 1} of {self.rounds.number}: {share:.1%} of the pixels of "
            f"{labels.summary['labelled_images']} images are labelled, of these "
            + ", ".join(f"{name} {part:.2%}" for name, part in classes)
        )
        dataset = self.dataloader.dataset
        dataset.begin_round(labels, first * self.dataloader.batch_size * get_world_size())
        settings = {**self.runner.cfg.train_dataloader, "dataset": dataset}
        self.dataloader = self.runner.build_dataloader(settings, seed=self.runner.seed)
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)
        self.dataloader_iterator.skip_iter(self._iter)
        self._method.begin_round(labels)
        if self._iter == first and self.rounds.reset_optimizer:
            wrapper = self.runner.optim_wrapper
            for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
                each.optimizer.state.clear()
        self.runner.message_hub.update_info(WEIGHTS, labels.weights)
        self.runner.message_hub.update_info(LENGTHS, self.rounds.lengths)
        self.round = round

    def _check_lengths(self, begun: int) -> None:
        """Rounds that have begun keep their length in a resumed run.

        Raises:
            CheckpointError: They have another one.
        """
        lengths = self.rounds.lengths
        before = self.runner.message_hub.get_info(LENGTHS, lengths)
        if before[:begun] != lengths[:begun]:
            raise CheckpointError(
                f"{self.runner.work_dir}: the run was started with rounds of {before} iterations, the config "
                f"now says {lengths}; it goes on at iteration {self._iter}, so expected the same lengths of "
                "the rounds that have begun: restore rounds.number and rounds.length, or start again in an "
                "empty folder"
            )

    @property
    def _method(self) -> Any:
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def _labelled(self, round: int) -> RoundLabels:
        """Labels by the network of this moment, or what an earlier start has made of the same weights."""
        for hook in self._checkpoint_hooks():
            hook.save(self.runner, self._iter)
        network = self._network()
        weights, folder = weights_digest(network), self.folder(round)
        labels = self._found(round)
        if labels is None or not self._fits(labels, weights):
            self.runner.logger.info(
                f"Round {round + 1} of {self.rounds.number}: labelling {len(self.images)} images"
            )
            how = {key: self.prediction[key] for key in PREDICTION}
            predictor = Predictor(network.eval(), self.images, **how)
            previous = self._found(round - 1)  # for the picture alone
            with self._compiled(False):
                labels = label_images(
                    self.labeller, round, predictor.names, predictor, folder, weights, self.images.classes,
                    lambda labels: draw_labels(labels, predictor, self.rounds.pictures, previous),
                    self.prediction,
                )  # fmt: skip
        self.runner.model.train()
        return labels

    def _network(self) -> EncoderDecoder:
        """What labels: the student, or the network of another run."""
        student = self._method.model
        if self.rounds.checkpoint is None:
            return student
        network = MODELS.build(dict(copy.deepcopy(self.runner.cfg.model), pretrained=None))
        load_checkpoint(network, self.rounds.checkpoint)
        return network.to(next(student.parameters()).device)

    def _found(self, round: int) -> RoundLabels | None:
        """Labels that are there already, whole."""
        try:
            return RoundLabels.read(self.folder(round))
        except DataError:
            return None

    def _fits(self, labels: RoundLabels, weights: str) -> bool:
        """Whether the same weights, settings and images have made the labels."""
        expected = json.loads(
            json.dumps({"labeller": self.labeller.settings, "prediction": self.prediction}, default=str)
        )
        found = {key: labels.summary.get(key) for key in expected}
        return labels.weights == weights and found == expected

    def _read(self, round: int) -> RoundLabels:
        """The labels of a round that has begun before the run was interrupted.

        Raises:
            CheckpointError: They are missing or others.
        """
        folder, expected = self.folder(round), self.runner.message_hub.get_info(WEIGHTS, None)
        problem = ""
        try:
            labels = RoundLabels.read(folder)
            if expected is not None and labels.weights != expected:
                problem = f"{folder}: holds labels by the weights {labels.weights}, expected {expected}"
        except DataError as error:
            problem = str(error)
        if problem:
            raise CheckpointError(
                f"{problem}. The run goes on at iteration {self._iter}, inside round {round} (counted from "
                f"0), and needs the labels that this round began with: restore {folder}, or start again in "
                "an empty folder"
            )
        return labels
