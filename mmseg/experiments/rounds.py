"""Experiments of the methods that label the target in rounds: ST, CBST, CRST, IntraDA and TPLD.

IDs 211 to 214. Lengths are the authors', who label 505 images of Cityscapes; which, is not known here, so
these runs label all 2975. docs/rounds.md says what else differs.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.experiments.experiment import BY_START, Experiment, PartsRow
from mmseg.experiments.survey import ADVENT, ADVENT_ONE, PUBLISHED_SGD, SUPERVISED, decay_over
from mmseg.experiments.survey import rows as alignment_rows

Settings = dict[str, Any]
NETWORK = "deeplabv2_crst_r101"
SOURCE_ONLY = "source-only-crst_dlv2_r101"
GTA, SYNTHIA = "gta", "synthia"
PAIRS = {GTA: "gta2cs", SYNTHIA: "syn2cs"}

CBST_LENGTHS = {GTA: [1252, 1316, 1378, 1440, 1502, 1566], SYNTHIA: [692, 716, 740, 762, 786, 810]}
CBST_PORTIONS = {GTA: [0.15, 0.2, 0.25, 0.3, 0.35, 0.4], SYNTHIA: [0.2, 0.25, 0.3, 0.35, 0.4, 0.45]}
CRST_LENGTHS = {GTA: [1104, 1154, 1204], SYNTHIA: [694, 716, 740, 764]}
CRST_PORTIONS = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
TPLD_LENGTHS = [1104, 1154, 1204, 1254, 1304, 1354]
"""Of phase 1: two epochs of CRST for each of the six rounds; the paper's lengths are not known."""


def row(
    source: str, name: str, images: str, uda: str, settings: Settings, start: str, schedule: str = "sgd_crst"
) -> PartsRow:
    """A run on the network of CRST.

    Args:
        source: ``gta`` or ``synthia``.
        name: Of the run, behind that of the pair.
        images: File in configs/_base_/datasets.
        uda: File in configs/_base_/uda.
        settings: What the run changes.
        start: Name of the row that it starts from, the same way; none if empty.
        schedule: File in configs/_base_/schedules.
    """
    pair = PAIRS[source]
    return PartsRow(
        f"{pair}_{name}",
        (f"datasets/{images}", f"models/{NETWORK}", f"schedules/{schedule}", f"uda/{uda}"),
        {**PUBLISHED_SGD, "model.test_cfg.augmentation": dict(scales=[0.9, 1.0, 1.2], flip=True), **settings},
        start=f"{pair}_{start}" if start else None,
    )


def source_only(source: str) -> PartsRow:
    """What all rows start from."""
    settings = decay_over(100_000) | {"train_cfg.max_iters": 100_000}
    images = f"uda_{source}_to_cityscapes_crst"
    return row(source, SOURCE_ONLY, images, SUPERVISED, settings, "", "sgd_deeplabv2")


def in_rounds(lengths: Sequence[int], labeller: str, **options: Any) -> Settings:
    """Rounds of such lengths, and what labels."""
    return {
        "train_cfg.max_iters": sum(lengths),
        "train_cfg.val_interval": min(4000, lengths[0]),
        "default_hooks.checkpoint.interval": min(4000, lengths[0]),
        "rounds.number": len(lengths),
        "rounds.length": list(lengths),
        "rounds.labeller": dict(type=labeller, **options),
    }


def cbst(source: str, name: str, labeller: str, **options: Any) -> PartsRow:
    """Six rounds, in each of which the rate falls by √2; images of CBST, network and first rate of CRST."""
    lengths = CBST_LENGTHS[source]
    ends = [sum(lengths[:n]) for n in range(1, len(lengths))]
    falling = dict(type="MultiStepLR", by_epoch=False, milestones=ends, gamma=0.5**0.5)
    settings = in_rounds(lengths, labeller, portion=CBST_PORTIONS[source], published_zeros=True, **options)
    settings["param_scheduler"] = [falling]
    settings["model.test_cfg.augmentation"] = dict(scales=[1.0], flip=True)
    images = f"rounds_{source}_to_cityscapes_cbst"
    return row(source, f"{name}_dlv2_r101", images, "self_training", settings, SOURCE_ONLY)


def crst(source: str, name: str, uda: str, labeller: str = "ClassBalanced", **options: Any) -> PartsRow:
    """Three rounds (Synthia: four) of CRST."""
    settings = in_rounds(CRST_LENGTHS[source], labeller, portion=CRST_PORTIONS, **options)
    images = f"rounds_{source}_to_cityscapes_crst"
    return row(source, f"{name}_dlv2_r101", images, uda, settings, SOURCE_ONLY)


def intrada(source: str, max_iters: int, settings: Settings) -> list[PartsRow]:
    """AdvEnt from the source to the target, then from its easy to its hard images with a new network.

    Args:
        source: ``gta`` or ``synthia``.
        max_iters: Of each of the two.
        settings: What both change.
    """
    pair, network = PAIRS[source], ADVENT if source == GTA else ADVENT_ONE
    first = alignment_rows("advent_dlv2_r101", network, "advent", max_iters, settings, of=pair)
    parts = (
        "datasets/easy_hard_cityscapes_whole", f"models/{network}", "schedules/sgd_deeplabv2", "uda/advent",
    )  # fmt: skip
    if source == SYNTHIA:
        settings = settings | {"val_evaluator.class_subsets": ("16", "13"),
                               "test_evaluator.class_subsets": ("16", "13")}  # fmt: skip
    second = [
        PartsRow(
            f"{pair}_{name}_dlv2_r101",
            parts,
            {
                **settings,
                **in_rounds([max_iters], "EntropyRanking", easy_share=0.67, normalize=normalize),
                "rounds.checkpoint": BY_START,
            },
            start=first[0].name,
        )
        for name, normalize in (("intrada", False), ("intrada-norm", True))
    ]
    return [*first, *second]


def tpld(source: str) -> list[PartsRow]:
    """Phase 1 and phase 2. The second one goes on from the first one's network, as rounds do."""
    voting = in_rounds(TPLD_LENGTHS, "Voting", portion=CRST_PORTIONS)
    densified = in_rounds([505] * 3, "EasyHard", portion=CRST_PORTIONS[-1], easy_share=[0.3, 0.35, 0.4])
    if source == SYNTHIA:
        densified["val_evaluator.class_subsets"] = densified["test_evaluator.class_subsets"] = ("16", "13")
    images = f"rounds_{source}_to_cityscapes_crst"
    return [
        row(source, "tpld-voting_dlv2_r101", images, "tpld_voting", voting, SOURCE_ONLY),
        row(
            source, "tpld_dlv2_r101", "easy_hard_cityscapes_crst", "tpld", densified, "tpld-voting_dlv2_r101"
        ),
    ]


ROUNDS = {
    211: Experiment(
        "Self-training with one threshold (ST) and with class-balanced ones (CBST), spatial priors (SP)",
        [
            each
            for source in PAIRS
            for each in (
                source_only(source),
                cbst(source, "st", "GlobalThreshold"),
                cbst(source, "cbst", "ClassBalanced"),
                cbst(source, "cbst-sp", "ClassBalanced", prior=f"data/{source}/spatial_prior.npz"),
            )
        ],
    ),
    212: Experiment(
        "CRST: regularisers of the confidence, of the labels (LRENT) and of the network (MR)",
        [
            each
            for source in PAIRS
            for each in (
                source_only(source),
                crst(source, "crst-cbst", "self_training"),
                crst(source, "crst-lrent", "self_training", "SoftClassBalanced", alpha=0.25),
                crst(source, "crst-mrkld", "crst_mrkld"),
                crst(source, "crst-mrent", "crst_mrent"),
                crst(source, "crst-mrl2", "crst_mrl2"),
                crst(source, "crst-lrent-mrkld", "crst_mrkld", "SoftClassBalanced", alpha=0.25),
            )
        ],
    ),
    213: Experiment(
        "IntraDA: from the source to the target, then from easy to hard images",
        [
            *intrada(GTA, 120_000, PUBLISHED_SGD),
            *intrada(SYNTHIA, 90_000, PUBLISHED_SGD | decay_over(90_000, "discriminator")),
        ],
    ),
    214: Experiment(
        "TPLD: labels by the votes of neighbours, then full labels of easy images",
        [each for source in PAIRS for each in (source_only(source), *tpld(source))],
    ),
}
