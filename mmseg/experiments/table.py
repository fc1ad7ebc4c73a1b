"""Experiments of the papers under their published IDs.

Each ID has rows in the table :data:`EXPERIMENTS`. A row is a set of axes, from which
mmseg/experiments/make_config.py makes a config, or a config file; each row has a run for every seed, which
:func:`runs` lists. docs/experiments.md says what each ID is for, and how to add rows of one's own.

IDs 1 to 8 belong to DAFormer (Hoyer et al., CVPR 2022), 40 to 49 to HRDA (ECCV 2022), 80 to 85 to MIC (CVPR
2023), those from 201 on to methods before them (survey.py and rounds.py beside this file); 0 is the toy
benchmark, 10 the one on photographs, 100 and 101 are short tests that all networks and methods start.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mmseg.experiments.appearance import APPEARANCE
from mmseg.experiments.experiment import ConfigRow as ConfigRow  # for rows of one's own in experiments.py
from mmseg.experiments.experiment import Experiment, Run, runs_of
from mmseg.experiments.names import Axes, Detail, Masking, Optimization
from mmseg.experiments.photos import PHOTOS
from mmseg.experiments.rounds import ROUNDS
from mmseg.experiments.several_sources import SEVERAL_SOURCES
from mmseg.experiments.survey import SURVEY
from mmseg.experiments.toy import TOY

make_config = Run.config


def vary(base: Axes, **values: Iterable[Any]) -> list[Axes]:
    """Every combination of the values of some axes; the last one changes fastest."""
    return [
        replace(base, **dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())
    ]


ALL_WAYS = ["source-only", "dacs", "target-only"]
WITH_ORACLE = ["dacs", "target-only"]

DACS = Axes(network="segformer_mitb5", uda="dacs", temperature=None, workers=4)
DEEPLAB = "dlv2red_r101v1c"
ARCHITECTURES = [
    DEEPLAB, "da_nodbn_r101v1c", "isa_nodbn_r101v1c", "dlv3p_nodbn_r101v1c", "segformer_mitb5",
]  # fmt: skip
DAFORMER = Axes(margins="cpl", workers=4)
DAFORMER_DECODERS = [
    "daformer_conv1_mitb5", "upernet_mitb5", "upernet_ch256_mitb5", "daformer_isa_mitb5",
    "daformer_sepaspp_bottleneck_mitb5", "daformer_aspp_mitb5", "daformer_sepaspp_mitb5",
]  # fmt: skip

SLIDING = Axes(margins="cpl2", slide=True)  # DAFormer as HRDA's paper trains it
SLIDING_HR = replace(SLIDING, source="gtaHR", target="cityscapesHR", crop=1024, min_crop_ratio=2.0)
HRDA = replace(SLIDING_HR, detail=Detail())
HRDA_ADVERSE = replace(HRDA, source="cityscapesHR", target="acdcHR", margins=None)
ORACLE = Axes(source="", uda="target-only", slide=True)

# Older methods on DeepLabV2, without rare class sampling.
OLDER = Axes(network=DEEPLAB, uda="dacs", temperature=None)
SGD = Optimization("sgd", lr=0.0025, faster_head=False)
# the published numbers come from a discriminator that takes the steps of both optimizers
ADVERSARIAL = replace(OLDER, uda="advseg", optimization=SGD, settings={"uda.published_double_update": True})
ENTROPY = replace(OLDER, uda="minent", optimization=SGD)
DAFORMER_ON_DEEPLAB = Axes(network=DEEPLAB, margins="cpl2")

MIC_DAFORMER = Axes(margins="cpl", masking=Masking(block_size=32))
MIC = replace(HRDA, masking=Masking())
MIC_ADVERSE = replace(HRDA_ADVERSE, masking=Masking("separate"))

START_UP = replace(
    DACS,
    optimization=Optimization(max_iters=2),
    settings={"train_cfg.val_interval": 100, "train_cfg.val_begin": 100, "log_level": "ERROR"},
)


def with_hrda(row: Axes) -> list[Axes]:
    """A row of crops of 512, and the same at full resolution under HRDA."""
    high = replace(row, source=f"{row.source}HR", target=f"{row.target}HR", crop=1024, detail=Detail())
    return [row, replace(high, min_crop_ratio=2.0)]


EXPERIMENTS: dict[int, Experiment] = {
    0: TOY,
    1: Experiment(
        "DAFormer: network architectures without, with and as oracle of adaptation",
        vary(DACS, network=ARCHITECTURES, uda=ALL_WAYS),
    ),
    2: Experiment(
        "DAFormer: encoders and decoders exchanged",
        vary(DACS, network=["sfa_dlv3p_nodbn_mitb5-del", "segformer_r101v1c"], uda=WITH_ORACLE),
    ),
    3: Experiment(
        "DAFormer: size of the encoder",
        vary(
            DACS,
            network=[
                "dlv2red_r50v1c", "dlv2red_s50", "dlv2red_s101", "dlv2red_s200", "segformer_mitb3",
                "segformer_mitb4",
            ],
            uda=ALL_WAYS,
        ),
        seeds=[0],
    ),
    4: Experiment(
        "DAFormer: without warm-up of the learning rate",
        vary(
            replace(DACS, optimization=Optimization(schedule="poly10")),
            network=[DEEPLAB, "segformer_mitb5"],
            uda=WITH_ORACLE,
        ),
        seeds=[0],
    ),
    5: Experiment(
        "DAFormer: rare class sampling and feature distance",
        [
            *vary(DACS, temperature=[math.inf, 0.01]),
            *vary(DACS, uda=["dacs_fd", "dacs_fdthings"]),
            replace(DACS, uda="dacs_fdthings", temperature=0.01),
            *vary(DAFORMER, network=["segformer_mitb5", DEEPLAB]),
        ],
    ),
    6: Experiment(
        "DAFormer: decoders, with adaptation and as oracle, GTA to Cityscapes",
        vary(DAFORMER, network=DAFORMER_DECODERS, uda=["dacs_a999_fdthings", "target-only"]),
    ),
    7: Experiment("DAFormer on Synthia to Cityscapes", [replace(DAFORMER, source="synthia")]),
    8: Experiment(
        "DAFormer on Cityscapes to ACDC and to Dark Zurich",
        vary(replace(DAFORMER, source="cityscapes"), target=["acdc", "darkzurich"]),
    ),
    10: PHOTOS,
    40: Experiment("HRDA on GTA and on Synthia to Cityscapes", vary(HRDA, source=["gtaHR", "synthiaHR"])),
    41: Experiment(
        "HRDA: with other methods, on DeepLabV2",
        [
            *with_hrda(replace(ADVERSARIAL, source="gtaCAug")),
            *with_hrda(replace(ENTROPY, source="gtaCAug")),
            *with_hrda(OLDER),
            *with_hrda(DAFORMER_ON_DEEPLAB),
        ],
    ),
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
    81: Experiment(
        "MIC with other methods and networks",
        [
            *(replace(row, masking=Masking(block_size=32)) for row in (ADVERSARIAL, ENTROPY, OLDER)),
            replace(MIC_DAFORMER, network=DEEPLAB),
            replace(MIC, network=DEEPLAB),
            MIC_DAFORMER,
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
                if (size, ratio) != (32, 0.7)  # the default, which belongs to ID 81
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
    100: Experiment(
        "Start-up test of the networks: two iterations each",
        vary(
            replace(START_UP, uda="target-only"),
            network=[
                DEEPLAB, "dlv3p_nodbn_r101v1c", "da_nodbn_r101v1c", "segformer_mitb5", "isa_nodbn_r101v1c",
                "dlv2red_r50v1c", "dlv2red_s50", "dlv2red_s101", "dlv2red_s200", "dlv2red_x50-32",
                "dlv2red_x101-32", "segformer_mitb4", "segformer_mitb3", "sfa_dlv3p_nodbn_mitb5-del",
                "segformer_r101v1c", "daformer_conv1_mitb5", "daformer_isa_mitb5",
                "daformer_sepaspp_bottleneck_mitb5", "daformer_aspp_mitb5", "daformer_sepaspp_mitb5",
                "upernet_mitb5", "upernet_ch256_mitb5",
            ],
        ),
        seeds=[0],
    ),
    101: Experiment(
        "Start-up test of the methods: two iterations each",
        [
            *vary(START_UP, uda=["source-only", "target-only"]),
            *vary(START_UP, temperature=[None, math.inf, 0.01]),
            *vary(START_UP, uda=["dacs_fd", "dacs_fdthings"]),
            replace(START_UP, uda="dacs_fdthings", temperature=0.01),
            replace(START_UP, uda="dacs_a999_fdthings", temperature=0.01, margins="cpl"),
        ],
        seeds=[0],
    ),
    **SURVEY,
    **ROUNDS,
    **APPEARANCE,
    **SEVERAL_SOURCES,
    225: Experiment(
        "DAFormer, HRDA and MIC from GTA and Synthia together to Cityscapes",
        [
            replace(DAFORMER, source="gta+synthia"),
            *(replace(row, source="gtaHR+synthiaHR") for row in (HRDA, MIC)),
        ],
    ),
}  # fmt: skip


def runs(exp_id: int) -> list[Run]:
    """The runs of an ID in the published order, seeds innermost.

    Raises:
        ConfigError: The ID is not known.
    """
    return runs_of(EXPERIMENTS, exp_id)
