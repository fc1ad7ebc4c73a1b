"""Experiments of the papers under their published IDs.

An ID is a table of axes, :data:`EXPERIMENTS`; :func:`runs` gives its runs with the published names and
:func:`make_config` the config of a run.

IDs 6 to 8 belong to DAFormer (Hoyer et al., CVPR 2022), 40 to 49 to HRDA (ECCV 2022), 80 to 85 to MIC (CVPR
2023).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmseg.apis.experiment_config import Axes, Detail, Masking, Run, make_config
from mmseg.errors import ConfigError

__all__ = ["EXPERIMENTS", "Experiment", "make_config", "runs"]


def vary(base: Axes, **values: Sequence[Any]) -> list[Axes]:
    """Every combination of the values of some axes; the last one changes fastest."""
    return [
        replace(base, **dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())
    ]


DAFORMER = Axes(margins="cpl", workers=4)
SLIDING = Axes(margins="cpl2", slide=True)  # DAFormer as HRDA's paper trains it
SLIDING_HR = replace(SLIDING, source="gtaHR", target="cityscapesHR", crop=1024, min_crop_ratio=2.0)
HRDA = replace(SLIDING_HR, detail=Detail())
HRDA_ADVERSE = replace(HRDA, source="cityscapesHR", target="acdcHR", margins=None)
ORACLE = Axes(source="", uda="target-only", slide=True)
MIC_DAFORMER = Axes(margins="cpl", masking=Masking(block_size=32))
MIC = replace(HRDA, masking=Masking())
MIC_ADVERSE = replace(HRDA_ADVERSE, masking=Masking("separate"))


@dataclass(frozen=True)
class Experiment:
    """What an ID stands for: a line for the reader, and one set of axes for each run but its seed."""

    title: str
    rows: Sequence[Axes]
    seeds: Sequence[int] = (0, 1, 2)


EXPERIMENTS: dict[int, Experiment] = {
    6: Experiment(
        "DAFormer: decoders, with adaptation and as oracle, GTA to Cityscapes",
        vary(
            DAFORMER,
            decoder=[
                "daformer_conv1", "upernet", "upernet_ch256", "daformer_isa", "daformer_sepaspp_bottleneck",
                "daformer_aspp", "daformer_sepaspp",
            ],
            uda=["dacs_a999_fdthings", "target-only"],
        ),
    ),
    7: Experiment("DAFormer on Synthia to Cityscapes", [replace(DAFORMER, source="synthia")]),
    8: Experiment(
        "DAFormer on Cityscapes to ACDC and to Dark Zurich",
        vary(replace(DAFORMER, source="cityscapes"), target=["acdc", "darkzurich"]),
    ),
    40: Experiment("HRDA on GTA and on Synthia to Cityscapes", vary(HRDA, source=["gtaHR", "synthiaHR"])),
    42: Experiment(
        "HRDA: resolutions and crop sizes of DAFormer",
        [
            *vary(SLIDING, sync_crop=[128, 256, 384, None]),
            # as published, these many small windows go through the network one by one
            replace(SLIDING_HR, sync_crop=256, settings={"model.test_cfg.batched_slide": False}),
            *vary(SLIDING_HR, sync_crop=[512, 768]),
        ],
    ),
    43: Experiment(
        "HRDA: resolutions and crop sizes of the oracle",
        [
            *vary(ORACLE, crop=[128, 256, 384, 512]),
            *vary(replace(ORACLE, target="cityscapesHR"), crop=[256, 512, 768]),
        ],
    ),
    44: Experiment(
        "HRDA: ablation of detail crop, scales, attention, windows and detail loss",
        [
            *vary(HRDA, sync_crop=[512, 768]),
            *vary(HRDA, detail=[Detail(256), Detail(384)]),
            replace(HRDA, sync_crop=768, detail=Detail(384)),
            replace(SLIDING, detail=Detail(256, options=("samescale",))),
            replace(HRDA, detail=Detail(options=("blurhr",))),
            replace(HRDA, detail=Detail(loss_weight=0, options=("fixedatt", "nooverlap"))),
            replace(HRDA, detail=Detail(loss_weight=0, options=("nooverlap",))),
            *vary(HRDA, detail=[Detail(loss_weight=w) for w in (0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]),
            *vary(replace(HRDA, sync_crop=512), detail=[Detail(options=(o,)) for o in ("sc0.25", "sc0.75")]),
        ],
    ),
    49: Experiment(
        "HRDA on Cityscapes to ACDC and to Dark Zurich", vary(HRDA_ADVERSE, target=["acdcHR", "darkzurichHR"])
    ),
    80: Experiment(
        "MIC with HRDA on all four pairs of domains",
        [
            *vary(MIC, source=["gtaHR", "synthiaHR"]),
            *vary(MIC_ADVERSE, target=["acdcHR", "darkzurichHR"]),
        ],
    ),
    82: Experiment(
        "MIC: masked domain, with HRDA",
        [
            *vary(MIC, masking=[Masking("separatesrcaug"), Masking("separateaug")]),
            *vary(MIC_ADVERSE, masking=[Masking("separatesrc"), Masking("separatetrg")]),
        ],
    ),
    83: Experiment(
        "MIC: ablation of colour augmentation, masking, teacher and confidence, with DAFormer",
        vary(
            MIC_DAFORMER,
            masking=[
                Masking("separatetrg", block_size=32),
                Masking(ratio=0, block_size=32),
                Masking(alpha=0, block_size=32),
                Masking(threshold=None, block_size=32),
            ],
        ),
    ),
    84: Experiment(
        "MIC: block size and mask ratio, with DAFormer",
        vary(
            MIC_DAFORMER,
            masking=[
                Masking(ratio=ratio, block_size=size)
                for size, ratio in itertools.product((16, 32, 64, 128), (0.3, 0.5, 0.7, 0.9))
                if (size, ratio) != (32, 0.7)  # the default, which belongs to another experiment
            ],
        ),
    ),
    85: Experiment(
        "MIC: supervised training on Cityscapes with masked images",
        [
            Axes(
                source="cityscapes", uda="dacs_srconly", temperature=None,
                masking=Masking("separatesrc", block_size=32),
            )
        ],
    ),
}  # fmt: skip


def runs(exp_id: int) -> list[Run]:
    """The runs of an ID in the published order, seeds innermost.

    Raises:
        ConfigError: The ID is not known.
    """
    if exp_id not in EXPERIMENTS:
        known = ", ".join(map(str, EXPERIMENTS))
        raise ConfigError(f"--exp {exp_id}: this experiment is not available; available are {known}")
    experiment = EXPERIMENTS[exp_id]
    return [Run(exp_id, axes, seed) for axes in experiment.rows for seed in experiment.seeds]
