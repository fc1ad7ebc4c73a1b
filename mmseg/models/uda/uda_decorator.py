"""The training step of every unsupervised domain adaptation method.

A method is a generator of loss groups. The step it runs is::

    teachers follow the student
    for losses in method.objectives(batch):     # e.g. source, mixed, masked
        backward(sum of losses)                 # frees the graph before the next group is computed
    optimizer step

A new method subclasses :class:`UDADecorator` and writes ``objectives``. If it trains a second network (a
discriminator), each group says whose optimizer it belongs to, and every optimizer makes its step at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.ema_teacher import EMATeacher
from mmseg.models.uda.parts.masking_consistency_module import MaskingConsistencyModule, build_masking
from mmseg.models.uda.step_context import GlobalBatch
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.registry import MODELS

STUDENT = "student"


@dataclass(frozen=True)
class Objective:
    """Losses that are not the student's.

    Attributes:
        losses: Scalars by name.
        optimizer: Who steps on their gradients, a key of :attr:`UDADecorator.other_networks`.
    """

    losses: Losses
    optimizer: str = STUDENT


class UDADecorator(BaseModel):
    """A segmentor (the student) together with a way to adapt it.

    Args:
        model: The student segmentor, as a config or a module.
        data_preprocessor: Moves a batch to the device and normalises it.

    Attributes:
        model: The student; the only network that is tested and (unless a method adds one) optimised.
        iteration: Number of finished training steps; part of the checkpoint.
        seed: Seed of the run, set by the runner; keys what several processes draw together.
        teachers: The EMA teachers that follow the student, updated before each step.
        other_networks: What a method trains beside the student: name of the optimizer -> network. The config
            has the optimizer as ``<name>_optim_wrapper`` and its schedule as ``<name>_param_scheduler``.
    """

    data_preprocessor: SegDataPreprocessor

    def __init__(
        self, model: dict | EncoderDecoder, data_preprocessor: dict | nn.Module | None = None
    ) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = MODELS.build(data_preprocessor or dict(type="SegDataPreprocessor"))
        super().__init__(data_preprocessor)
        self.model: EncoderDecoder = MODELS.build(model) if isinstance(model, dict) else model
        self.iteration = 0
        self.seed = 0
        self.teachers: list[EMATeacher] = []
        self.mic: MaskingConsistencyModule | None = None
        self.other_networks: dict[str, nn.Module] = {}

    def add_masking(self, masking: dict, shared_teacher: EMATeacher | None) -> None:
        """Give the method masked image consistency (MIC).

        Args:
            masking: Arguments of :class:`MaskingConsistencyModule`.
            shared_teacher: The method's own teacher, if it has one.
        """
        self.mic = build_masking(self.model, masking, shared_teacher)
        if self.mic.own_teacher is not None:
            self.teachers.append(self.mic.own_teacher)

    def student_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of what the student's optimizer may train: all but the other networks."""
        others = {parameter for network in self.other_networks.values() for parameter in network.parameters()}
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter not in others)

    def target_outputs(self, batch: UDABatch) -> dict[str, Tensor]:
        """Logits (B, C, h, w) of each of the student's outputs on target images, for methods that work on
        them."""
        logits, _ = self.model.forward_outputs(batch.target_img)
        batch.pictures.update(
            source=batch.img,
            source_label=batch.gt_semantic_seg,
            target=batch.target_img,
            target_prediction=logits["main"].argmax(dim=1),
        )
        return logits

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """Yield the groups of losses of one step; each group is back-propagated and freed before the next
        one.

        Names that contain ``loss`` are summed and back-propagated, all others are only logged. Plain losses
        are the student's; an :class:`Objective` names another optimizer.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define objectives()")

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict:
        """Run one iteration.

        Args:
            data: A collated batch of :class:`~mmseg.datasets.UDADataset`.
            optim_wrapper: Holds the student's optimizer; an ``OptimWrapperDict`` for several networks.

        Returns:
            Loss and accuracy scalars (on the device, detached) by name, and ``pictures`` (see
            :class:`UDABatch`).
        """
        processes = GlobalBatch.of_step(self.seed, self.iteration)
        batch = UDABatch.from_dict(self.data_preprocessor(data, training=True), processes)
        several = isinstance(optim_wrapper, OptimWrapperDict)
        wrappers = dict(optim_wrapper.items()) if several else {STUDENT: optim_wrapper}
        steps_done = [wrapper.begin_iteration() for wrapper in wrappers.values()].pop()
        if steps_done is not None:  # the student has changed since the last iteration
            for teacher in self.teachers:
                teacher.update(self.model, steps_done)
        log: dict = {}
        objectives = self.objectives(batch)
        while True:
            with wrappers[STUDENT].optim_context(self):  # autocast covers the forward passes only
                group = next(objectives, None)
            if group is None:
                break
            objective = group if isinstance(group, Objective) else Objective(group)
            total = torch.stack(
                [value.float().mean() for name, value in objective.losses.items() if "loss" in name]
            ).sum()
            wrappers[objective.optimizer].backward(total)
            log.update({name: value.detach() for name, value in objective.losses.items()})
        for wrapper in wrappers.values():
            wrapper.end_iteration()
        self.iteration += 1
        return {**log, "pictures": batch.pictures}

    def forward(self, *args, **kwargs):
        """Test-time forward of the student; see the segmentor."""
        return self.model(*args, **kwargs)

    def init_weights(self) -> None:
        """Initialise the student; methods copy it into their other networks."""
        self.model.init_weights()

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        self.iteration = int(state)
