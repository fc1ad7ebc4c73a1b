"""The training step of every unsupervised domain adaptation method.

A method is a generator of loss groups. The step it runs is::

    teachers follow the student
    for losses in method.objectives(batch), masked consistency:
        backward(sum of losses)                 # frees the graph before the next group is computed
    every optimizer makes its step

A new method subclasses :class:`UDADecorator` and writes ``objectives``. If it trains a second network (a
discriminator), each group says whose optimizer it belongs to. A method may also train other networks alone,
and no segmentor.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.models.data_preprocessor import SIGNED, SegDataPreprocessor
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.ema_teacher import EMATeacher
from mmseg.models.uda.parts.masking_consistency_module import MaskingConsistencyModule, build_masking
from mmseg.models.uda.step_context import Progress, StepContext
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.registry import MODELS, TRANSLATORS

STUDENT = "student"
GROUPS = "an Objective or a Step in each yield (see docs/add_a_method.md)"
END: Any = object()


@dataclass(frozen=True)
class Objective:
    """Losses that are not the student's.

    Attributes:
        losses: Scalars by name.
        optimizer: Who steps on their gradients, a key of :attr:`UDADecorator.other_networks`.
    """

    losses: Losses
    optimizer: str = STUDENT


@dataclass(frozen=True)
class Step:
    """An optimizer steps now, on the gradients so far, and starts again without any.

    What is not stepped this way steps at the end. While iterations are accumulated, the step takes place in
    the last one.

    Attributes:
        optimizer: ``student`` or a key of :attr:`UDADecorator.other_networks`.
        when: Shape (), bool, the same in all processes: whether the step is taken. It stays on the device;
            the losses of a step that is not taken are computed all the same. None = it is.
    """

    optimizer: str
    when: Tensor | None = None


class UDADecorator(BaseModel):
    """A segmentor (the student) together with a way to adapt it.

    Args:
        model: The student segmentor, as a config or a module. Its data preprocessor is that of the method.
            None for a method without student, whose images have values in [-1, 1].
        masking: Arguments of :class:`MaskingConsistencyModule` (MIC), which adds masked images to the
            objectives of any method; None = without.
        teacher: Arguments of :class:`EMATeacher`, for a method that labels target images; None = without.
        translator: What changes the look of the source images before anything else sees them, such as
            ``dict(type="FDA", beta=0.01)``; the target image in the same place of the batch is the example.
            None = nothing.

    Attributes:
        model: The student; the only network that is tested and (unless a method adds one) optimised. None
            without student, see :attr:`has_student`.
        teacher: Labels target images, see ``teacher``; its network is ``ema_model``.
        iteration: Number of finished training steps; part of the checkpoint.
        seed: Seed of the run, see :meth:`begin_run`; keys what several processes draw together.
        teachers: The EMA teachers that follow the student, updated before each step.
        other_networks: What a method trains beside the student: name of the optimizer -> network. The config
            has optimizer and schedule in ``other_networks``, too.
        mic: The masking module, if there is one.
    """

    data_preprocessor: SegDataPreprocessor
    model: EncoderDecoder
    has_student: ClassVar[bool] = True
    """Whether the method trains a segmentor, ``model`` of the config; without, only its other networks."""
    needs_equal_crops: ClassVar[bool] = False
    """Whether parts of source images are put into target images, which then have to be of the same size."""
    needs_each_source: ClassVar[bool] = False
    """Whether every batch holds images of each of ``num_sources`` sources."""
    takes_mixed_batches: ClassVar[bool] = False
    """Whether a batch may be a mixed one, see :class:`UDABatch`, instead of pairs of source and target."""

    def __init__(
        self,
        model: dict | EncoderDecoder | None,
        masking: dict | None = None,
        teacher: Mapping[str, Any] | None = None,
        translator: Mapping[str, Any] | None = None,
    ) -> None:
        student: Any = MODELS.build(model) if isinstance(model, dict) else model
        super().__init__(SegDataPreprocessor(**SIGNED) if student is None else student.data_preprocessor)
        self.model = student
        self.iteration = 0
        self.seed = 0
        self.max_iters: int | None = None
        self.teachers: list[EMATeacher] = []
        self.other_networks: dict[str, nn.Module] = {}
        self.frozen_networks: list[nn.Module] = []
        self.teacher: EMATeacher | None = None
        if teacher is not None:
            self.ema_model: EncoderDecoder = copy.deepcopy(student)
            self.teacher = EMATeacher(self.ema_model, **teacher)
            self.teachers.append(self.teacher)
        self.mic: MaskingConsistencyModule | None = None
        self.translator: nn.Module | None = None
        if translator is not None:
            self.translator = TRANSLATORS.build(dict(translator))
        self.add_masking(masking)

    def add_masking(self, masking: dict | None) -> None:
        """Give the method masked image consistency (MIC), with the method's own teacher if it has one.

        Args:
            masking: Arguments of :class:`MaskingConsistencyModule`; None = without.

        Raises:
            ConfigError: An argument is unknown, missing or out of range.
        """
        if masking is None:
            return
        self.mic = build_masking(self.model, masking, self.teacher)
        if self.mic.own_teacher is not None:
            self.teachers.append(self.mic.own_teacher)

    def frozen_copy(self) -> EncoderDecoder:
        """A copy of the student as it starts (with its pretrained weights): never trained, always in eval
        mode."""
        network = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.frozen_networks.append(network)
        return network

    def begin_run(self, seed: int, max_iters: int) -> None:
        """Say which run the coming steps belong to; called before the first one, after a resume as well.

        Args:
            seed: Seed of the run.
            max_iters: Its length in iterations.
        """
        self.seed, self.max_iters = seed, max_iters
        for part in self.modules():
            if part is not self and hasattr(part, "begin_run"):  # reads what it needs of the data
                part.begin_run()

    def begin_round(self, labels: RoundLabels) -> None:
        """Say which labels the coming steps work with; in a resumed run called again inside the round.

        Args:
            labels: Of the target images, with what the labeller has found (thresholds, rare classes).
        """
        for part in self.modules():
            if part is not self and hasattr(part, "begin_round"):
                part.begin_round(labels)

    def train(self, mode: bool = True) -> "UDADecorator":
        """Switch the networks to training or evaluation; frozen ones stay in eval mode."""
        super().train(mode)
        for network in self.frozen_networks:
            network.eval()
        return self

    def student_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of what the student's optimizer may train: all but the other networks."""
        others = {parameter for network in self.other_networks.values() for parameter in network.parameters()}
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter not in others)

    def target_outputs(self, batch: UDABatch, size: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Logits (B, C, h, w) of each of the student's outputs on target images, for methods that work on
        them; source and target are shown. ``size`` is as in :meth:`EncoderDecoder.forward_outputs`."""
        logits, _ = self.model.forward_outputs(batch.target_img, size=size)
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        if batch.wants_pictures:
            batch.show(target_prediction=logits["main"].argmax(dim=1))
        return logits

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        """Yield the groups of losses of one step; each group is back-propagated and freed before the next
        one.

        Names that contain ``loss`` are summed and back-propagated, all others are only logged. Plain losses
        are the student's; an :class:`Objective` names another optimizer. A :class:`Step` makes an optimizer
        step before the method goes on.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define objectives()")

    def check_values(self, iteration: int, values: Mapping[str, float]) -> None:
        """Look at what a step has logged, once the host has read it: after some steps, and before anything is
        made of the weights. A method whose training has come to nothing raises an error here.

        Args:
            iteration: Number of the step, from 1 on.
            values: The scalars of the log by name.

        Raises:
            TrainingError: The run should end.
        """

    def train_step(
        self, data: dict, optim_wrapper: OptimWrapper | OptimWrapperDict, context: StepContext | None = None
    ) -> dict:
        """Run one iteration.

        Args:
            data: A collated batch of :class:`~mmseg.datasets.UDADataset`; ``wants_pictures=True`` in it has
                pictures made.
            optim_wrapper: Holds the student's optimizer; an ``OptimWrapperDict`` for several networks.
            context: What is drawn in the step; by default a function of seed and iteration.

        Returns:
            Loss and accuracy scalars (on the device, detached) by name, the share of trusted pseudo-labels,
            and ``pictures`` (see :class:`UDABatch`).

        Raises:
            ConfigError: A group has no loss, or names an optimizer that does not exist; or the method takes
                no mixed batches and this is one; or it pairs images, and there are those of several sources
                for each target image.
        """
        batch = UDABatch.from_dict(
            self.data_preprocessor(data, training=True),
            context or StepContext.of_step(self.seed, self.iteration),
            Progress(self.iteration, self.max_iters),
        )
        batch = self.translated(batch)
        if batch.from_target is not None and not self.takes_mixed_batches:
            raise ConfigError(
                f"{type(self).__name__}: source and target are apart in this method, found a mixed batch; "
                "expected train_dataloader.dataset of type 'UDADataset', or a method such as SelfTraining"
            )
        if batch.joint_sources > 1 and self.needs_equal_crops:
            raise ConfigError(
                f"{type(self).__name__}: each source image has its target image in this method, found images "
                f"of {batch.joint_sources} sources beside each target image; expected mode='mixed' in "
                "train_dataloader.dataset"
            )
        several = isinstance(optim_wrapper, OptimWrapperDict)
        wrappers = dict(optim_wrapper.items()) if several else {STUDENT: optim_wrapper}
        first = next(iter(wrappers.values()))  # the student's, if there is one
        steps_done = {name: wrapper.begin_iteration() for name, wrapper in wrappers.items()}.get(STUDENT)
        if steps_done is not None:  # the student has changed since the last iteration
            for teacher in self.teachers:
                teacher.update(self.model, steps_done)
        log: dict = {}
        trained = False
        for group in self._groups(batch, first):
            if not isinstance(group, Objective | Step | Mapping):
                raise ConfigError(f"{self._said()} yields {group!r}; expected losses by name, {GROUPS}")
            name = getattr(group, "optimizer", STUDENT)  # plain losses are the student's
            if name not in wrappers:
                raise ConfigError(
                    f"{type(self).__name__}: objectives() names the optimizer {name!r}; found "
                    f"{', '.join(wrappers)}, expected one of them: enter its network in other_networks"
                )
            if isinstance(group, Step):
                wrappers[name].step_within_iteration(group.when)
                continue
            losses = group.losses if isinstance(group, Objective) else group
            wrappers[name].backward(self._total(losses))
            trained = True
            log.update({key: value.detach() for key, value in losses.items()})
        if not trained:
            raise ConfigError(f"{self._said()} yields nothing to train on; expected losses by name, {GROUPS}")
        for wrapper in wrappers.values():
            wrapper.end_iteration()
        self.iteration += 1
        return {**log, **batch.trusted(), "pictures": batch.pictures}

    def translated(self, batch: UDABatch) -> UDABatch:
        """The batch with its source images in the look of the target, if there is a translator.

        Raises:
            ConfigError: Source and target share the images of a mixed batch.
        """
        if self.translator is None:
            return batch
        if batch.from_target is not None:
            raise ConfigError(
                f"{type(self).__name__}: translator needs source images apart from the target's; expected "
                "train_dataloader.dataset of type 'UDADataset', or no translator"
            )
        example = batch.target_img.repeat_interleave(batch.joint_sources, dim=0)
        colours = (self.data_preprocessor.denormalize(img) for img in (batch.img, example))
        batch.show(source_original=batch.img)
        return replace(batch, img=self.data_preprocessor.normalize01(self.translator(*colours)))

    def _groups(self, batch: UDABatch, wrapper: OptimWrapper) -> Iterator[Losses | Objective | Step]:
        """What the method yields, then masked images; autocast covers these forward passes only."""
        groups = self.objectives(batch)
        if not isinstance(groups, Iterator):
            raise ConfigError(f"{self._said()} returns {type(groups).__name__}; expected yield, {GROUPS}")
        while True:
            with wrapper.optim_context(self):
                group = next(groups, END)
            if group is END:
                break
            yield group
        if self.mic is not None:
            with wrapper.optim_context(self):
                masked = self.mic.objective(self.model, batch)
            yield masked

    def _total(self, losses: Losses) -> Tensor:
        """Sum of what is to be back-propagated."""
        values = [full_precision(value).mean() for name, value in losses.items() if "loss" in name]
        found = ", ".join(losses) or "nothing"
        if not values:
            raise ConfigError(
                f"{self._said()} yields a group without a loss, found {found}; expected a name that contains "
                "'loss'"
            )
        total = torch.stack(values).sum()
        if not total.requires_grad:
            raise ConfigError(
                f"{self._said()} yields losses without a gradient ({found}); compute them from the network's "
                "outputs, neither detached nor under no_grad"
            )
        return total

    def _said(self) -> str:
        return f"{type(self).__name__}: objectives()"

    def forward(self, *args, **kwargs):
        """Test-time forward of the student; see the segmentor."""
        return self.model(*args, **kwargs)

    def init_weights(self) -> None:
        """Initialise the student and copy it into the frozen networks; teachers copy it in the first step."""
        if self.has_student:
            self.model.init_weights()
        for network in self.frozen_networks:
            network.load_state_dict(self.model.state_dict())

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        self.iteration = int(state)
