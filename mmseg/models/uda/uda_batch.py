"""What a UDA method works on."""

from dataclasses import dataclass, field, fields, replace

from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.models.data_preprocessor import OF_SOURCES
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.step_context import NO_RUN, ONE_PROCESS, Progress, StepContext


@dataclass(frozen=True)
class UDABatch:
    """One source and one target mini-batch on the device, and what a step knows beside them.

    The mini-batch may also be a mixed one, whose images are of both domains: it has ``from_target``. With
    several sources or targets it says which of them an image is of. If it has images of each of K sources
    (``mode="joint"`` of the data), there are K times as many source images as target images: those of place b
    are ``img[b * K]`` … ``img[b * K + K - 1]``, in the order of the config.

    Attributes:
        img: (B, 3, H, W) normalised source crops; of both domains in a mixed batch.
        gt_semantic_seg: (B, H, W) int64 labels of ``img``, 255 = ignore; those of target images were chosen
            by a round.
        target_img: (B, 3, H, W) normalised target crops; ``img`` itself in a mixed batch.
        valid_pseudo_mask: (B, H, W) bool, where target pseudo-labels may be trusted; None = everywhere.
        target_label: (B, H, W) int64 labels of ``target_img`` that a round chose, 255 = ignore; None =
            without. ``gt_semantic_seg`` itself in a mixed batch.
        from_target: (B,) bool, which images of a mixed batch are of the target; None = not a mixed one.
        soft_label: (B, C, H, W) labels of ``img`` as probabilities, all 0 where there is none; None = only
            hard ones.
        source_domain: (B,) int64, number of the source of each image; None = there is one source.
        target_domain: (B,) int64, number of the target of each target image; None = there is one target.
        context: Random numbers and sums of all processes.
        progress: Iteration and length of the run.
        wants_pictures: Whether the pictures of this step are going to be drawn.
        pictures: Filled by :meth:`show`, drawn by a hook.
    """

    img: Tensor
    gt_semantic_seg: Tensor
    target_img: Tensor
    valid_pseudo_mask: Tensor | None = None
    target_label: Tensor | None = None
    from_target: Tensor | None = None
    soft_label: Tensor | None = None
    source_domain: Tensor | None = None
    target_domain: Tensor | None = None
    context: StepContext = ONE_PROCESS
    progress: Progress = NO_RUN
    wants_pictures: bool = False
    pictures: dict[str, Tensor] = field(default_factory=dict)
    _labels: dict[EMATeacher, PseudoLabel] = field(default_factory=dict)

    @classmethod
    def from_dict(
        cls, data: dict, context: StepContext = ONE_PROCESS, progress: Progress = NO_RUN
    ) -> "UDABatch":
        """Pick the fields out of a collated and preprocessed batch.

        Raises:
            ConfigError: There are no images of a target.
        """
        if "from_target" in data:
            data = {**data, "target_img": data.get("img"), "target_label": data.get("gt_semantic_seg")}
        missing = [key for key in ("img", "gt_semantic_seg", "target_img") if key not in data]
        if missing:
            raise ConfigError(
                f"training batch: {', '.join(missing)} missing (found {', '.join(data)}); "
                "a UDA method needs train_dataloader.dataset of type 'UDADataset' or its like"
            )
        given = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        return cls(**{**given, "context": context, "progress": progress})

    @property
    def joint_sources(self) -> int:
        """How many sources each place of the batch has an image of, K; otherwise 1."""
        return len(self.img) // len(self.target_img)

    def of_source(self, number: int) -> "UDABatch":
        """The part of one source, with all target images; nothing waits for the device.

        Args:
            number: Of the source, from 0 on, in the order of the config.

        Raises:
            ConfigError: The batch has images of each source only by chance, or there are fewer sources.
        """
        sources = self.joint_sources
        if number >= sources:
            raise ConfigError(
                f"training batch: images of source {number} are needed in every batch, found images of "
                f"{sources} source{'s' if sources > 1 else ''} at each place; expected several sources in "
                "train_dataloader.dataset, and mode='joint'"
            )
        parts = {name: getattr(self, name) for name in OF_SOURCES}
        return replace(
            self, **{name: part[number::sources] for name, part in parts.items() if part is not None}
        )

    def show(self, **pictures: Tensor) -> None:
        """Have pictures drawn, if this is a step that is drawn; otherwise nothing is kept.

        What is computed for a picture alone belongs behind ``if batch.wants_pictures``.

        Args:
            pictures: Name -> (B, 3, H, W) normalised image, (B, H, W) label map (integer) or (B, H, W) weight
                in [0, 1] (float). The first picture of a name stays. What has an entry for each of several
                sources becomes ``NAME_0``, ``NAME_1``, …, (B, ...) each.
        """
        sources = self.joint_sources if self.wants_pictures else 0
        for name, x in pictures.items() if sources else ():
            if sources > 1 and len(x) == len(self.img):
                parts = {f"{name}_{number}": x[number::sources] for number in range(sources)}
            else:
                parts = {name: x}
            self.pictures.update({key: part for key, part in parts.items() if key not in self.pictures})

    def labelled_by(self, teacher: EMATeacher) -> PseudoLabel:
        """The target images as a teacher labels them, except for pixels whose label a round has chosen: those
        keep it, with full trust. Each teacher is asked once per step."""
        if teacher not in self._labels:
            pseudo = teacher.label(self.target_img, self.valid_pseudo_mask, self.context)
            if self.target_label is not None:
                pseudo = pseudo.unless_chosen(self.target_label)
            self._labels[teacher] = pseudo
        return self._labels[teacher]

    def trusted(self) -> dict[str, Tensor]:
        """Share of the target's pixels whose pseudo-labels are trusted (mean weight, DAFormer eq. 4), for the
        log: ``trusted`` of the first teacher that was asked, ``trusted_2`` of a second one."""
        shares = (pseudo.weight.mean() for pseudo in self._labels.values())
        return {f"trusted_{n}" if n > 1 else "trusted": share for n, share in enumerate(shares, 1)}
