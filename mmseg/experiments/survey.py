"""Experiments of the methods that DAFormer, HRDA and MIC are compared with, trained as their authors did.

IDs from 201 on: adversarial alignment and entropy, with the networks, images and optimizers of their time.
A start-up test of theirs sees images at an eighth of the published size, with random weights.
"""

from typing import Any

from mmseg.experiments.experiment import Experiment, PartsRow

Settings = dict[str, Any]
SOURCES = {"gta2cs": "uda_gta_to_cityscapes", "syn2cs": "uda_synthia_to_cityscapes", "cs": "cityscapes"}
PUBLISHED_SGD: Settings = {
    "optim_wrapper.optimizer.type": "LegacySGD",
    "optim_wrapper.paramwise_cfg.published_duplicate_parameters": "backbone.network.",
}
"""What the authors' optimizer did: an encoder's convolutions took three or four steps in one."""
VGG_SGD: Settings = {"optim_wrapper.paramwise_cfg": {"_delete_": True, "custom_keys": {}}}
"""On VGG-16 each parameter was listed once, and the classifier learnt no faster."""
SINGLE_LEVEL: Settings = {
    "uda.lambda_adv_target": {"main": 0.001, "aux": 0.0},
    "model.auxiliary_head.loss_decode.loss_weight": 0.0,
}
"""The second output and its discriminator are there, as published, but teach the network nothing."""


def rows(
    name: str,
    network: str,
    uda: str,
    max_iters: int,
    settings: Settings = PUBLISHED_SGD,
    of: str = "gta2cs syn2cs",
    images: str = "whole",
    schedule: str = "sgd_deeplabv2",
    start: str = "",
    startup: Settings | None = None,
) -> list[PartsRow]:
    """Runs of a method, from each of the sources.

    Args:
        name: Of the runs, after that of the pair.
        network: File in configs/_base_/models.
        uda: File in configs/_base_/uda.
        max_iters: Where the authors stop.
        settings: What the runs change.
        of: Pairs of source and target.
        images: End of the names of the files in configs/_base_/datasets.
        schedule: File in configs/_base_/schedules.
        start: Name of the rows that they start from.
        startup: What start-up tests change beside the sizes of images.
    """
    return [
        PartsRow(
            f"{pair}_{name}",
            (
                f"datasets/{SOURCES[pair]}_{images}",
                f"models/{network}",
                f"schedules/{schedule}",
                f"uda/{uda}",
            ),
            {"train_cfg.max_iters": max_iters, **settings},
            start=f"{pair}_{start}" if start else None,
            startup=startup or {},
        )
        for pair in of.split()
    ]


def lambdas(main: float, aux: float) -> Settings:
    """Weights of the adversarial loss on both outputs."""
    return {"uda.lambda_adv_target": {"main": main, "aux": aux}}


CLASS_RATIO: Settings = {
    "uda.class_ratio_prior": {"class_ratio": "data/synthia/sample_class_stats.json", "relaxation": 0.5}
}
FOUR_BRANCHES: Settings = {"model.decode_head.num_summed": None}
LEAST_SQUARES: Settings = {"uda.discriminator_type": "LS"}


def decay_over(iterations: int, *networks: str) -> Settings:
    """A decay to 0 within a number of iterations, for the student and other networks."""
    schedule = [dict(type="PolyWarmupLR", by_epoch=False, power=0.9, end=iterations)]
    return {
        f"{place}param_scheduler": schedule for place in ("", *(f"other_networks.{x}." for x in networks))
    }


def of_papers(pair: str, data: str) -> list[PartsRow]:
    """ADDA, FCNs in the Wild, ROAD and FCAN, from a source in the folder ``data``.

    Networks, data and lengths that the papers leave open are named in docs/experiments.md.
    """
    adda: dict[str, Any] = dict(of=pair, schedule="sgd_adda")
    wild: dict[str, Any] = dict(of=pair, schedule="adam_fcns_in_the_wild", startup=SMALL_KERNEL)
    fcan: dict[str, Any] = dict(of=pair, schedule="sgd_fcan", images="512x512")
    six, eight = ({"train_dataloader.batch_size": size} for size in (6, 8))
    second = eight | {"optim_wrapper.optimizer.lr": 1e-4}
    sizes = {"uda.sizes": f"{data}/sample_class_stats.json"}
    slow = {"optim_wrapper.optimizer.lr": 1e-3, "train_dataloader.batch_size": 2}
    only = "source-only_"
    fcn, front, dlv2, psp = "fcn8s_vgg16", "dilated_vgg16", "dlv2_vgg16", "pspnet_r101"
    return [
        *rows(only + fcn, fcn, SUPERVISED, 100_000, slow, images="768x768", **adda),
        *rows(f"adda_{fcn}", fcn, "adda", 100_000, {}, images="768x768", **adda, start=only + fcn),
        *rows(only + front, front, SUPERVISED, 150_000, VGG_SGD, of=pair, startup=SMALL_KERNEL),
        *rows(f"fcnswild-global_{front}", front, "fcns_in_the_wild", 10_000, {}, **wild, start=only + front),
        *rows(f"fcnswild_{front}", front, "fcns_in_the_wild", 10_000, sizes, **wild, start=only + front),
        *rows(f"road_{dlv2}", VGG, "road", 150_000, VGG_SGD, of=pair),
        *rows(f"source-only-crops_{dlv2}", VGG, SUPERVISED, 30_000, six, **fcan),
        *rows(f"fcan_{dlv2}", VGG, "fcan", 10_000, second, **fcan, start=f"source-only-crops_{dlv2}"),
        *rows(only + psp, PSP, SUPERVISED, 30_000, RESNET101 | six, **fcan),
        *rows(
            f"adda_{psp}", PSP, "adda", 10_000, RESNET101 | eight, images="512x512", **adda,
            start=only + psp,
        ),
        *rows(
            f"fcnswild_{psp}", PSP, "fcns_in_the_wild", 10_000, RESNET101 | second | sizes, **fcan,
            start=only + psp,
        ),
        *rows("road_dlv2_r101", ONE, "road", 150_000, {}, of=pair),
        *rows(f"fcan_{psp}", PSP, "fcan", 10_000, RESNET101 | second, **fcan, start=only + psp),
    ]  # fmt: skip


SUPERVISED = "dacs_srconly"
SMALL_KERNEL: Settings = {"model.backbone.fc6_kernel": 3}
"""A dilated convolution of 7x7 takes minutes on a CPU."""
PSP = "pspnet_r50-d8"
RESNET101: Settings = {
    "model.pretrained": "open-mmlab://resnet101_v1c",
    "model.backbone.name": "resnet101c",
    "model.decode_head.loss_decode.avg_non_ignore": True,
}
TWO, ONE = "deeplabv2_adaptsegnet_r101", "deeplabv2_adaptsegnet_single_r101"
ADVENT, ADVENT_ONE, CLAN = "deeplabv2_advent_r101", "deeplabv2_advent_single_r101", "deeplabv2_clan_r101"
VGG = "deeplabv2_adaptsegnet_vgg16"

SURVEY = {
    201: Experiment(
        "AdaptSegNet: one and two levels, cross entropy and least squares",
        [
            *rows("source-only_dlv2_r101", ONE, "dacs_srconly", 150_000),
            *rows("target-only_dlv2_r101", ONE, "dacs_srconly", 150_000, of="cs"),
            *rows("adaptsegnet_dlv2_r101", TWO, "adaptsegnet", 150_000),
            *rows(
                "adaptsegnet-torch04_dlv2_r101", TWO, "adaptsegnet", 150_000,
                PUBLISHED_SGD | lambdas(0.0005, 0.00005),
            ),
            *rows("adaptsegnet-single_dlv2_r101", TWO, "adaptsegnet", 150_000, PUBLISHED_SGD | SINGLE_LEVEL),
            *rows(
                "adaptsegnet-single-ls_dlv2_r101", TWO, "adaptsegnet", 150_000,
                PUBLISHED_SGD | SINGLE_LEVEL | LEAST_SQUARES | lambdas(0.01, 0.0),
            ),
            *rows("source-only_dlv2_vgg16", VGG, "dacs_srconly", 150_000, VGG_SGD),
            *rows("adaptsegnet-single_dlv2_vgg16", VGG, "adaptsegnet", 150_000, VGG_SGD),
        ],
    ),
    202: Experiment(
        "ADVENT: minimal entropy and its adversary",
        [
            *rows("minent_dlv2_r101", ADVENT, "minent", 120_000, of="gta2cs"),
            *rows(
                "minent-er_dlv2_r101", ADVENT, "minent", 120_000,
                PUBLISHED_SGD | {"uda.most_uncertain": 0.3}, of="gta2cs",
            ),
            *rows("advent_dlv2_r101", ADVENT, "advent", 120_000, of="gta2cs"),
            *rows(
                "minent_dlv2_r101", ADVENT_ONE, "minent", 90_000, PUBLISHED_SGD | decay_over(90_000),
                of="syn2cs",
            ),
            *rows(
                "advent_dlv2_r101", ADVENT_ONE, "advent", 90_000,
                PUBLISHED_SGD | decay_over(90_000, "discriminator"), of="syn2cs",
            ),
            *rows("minent_dlv2_vgg16", VGG, "minent", 120_000, VGG_SGD | FOUR_BRANCHES),
            *rows("advent_dlv2_vgg16", VGG, "advent", 120_000, VGG_SGD | FOUR_BRANCHES, of="gta2cs"),
            *rows(
                "minent-cp_dlv2_vgg16", VGG, "minent", 120_000, VGG_SGD | FOUR_BRANCHES | CLASS_RATIO,
                of="syn2cs",
            ),
            *rows(
                "advent-cp_dlv2_vgg16", VGG, "advent", 120_000, VGG_SGD | FOUR_BRANCHES | CLASS_RATIO,
                of="syn2cs",
            ),
        ],
    ),
    203: Experiment(
        "CLAN: category-level adversaries",
        [
            *rows(
                "clan_dlv2_r101", CLAN, "clan", 100_000,
                of="gta2cs", images="resolutions", schedule="sgd_clan",
            ),
            *rows(
                "clan_dlv2_r101", CLAN, "clan", 100_000, PUBLISHED_SGD | {"uda.lambda_local": 10.0},
                of="syn2cs", images="resolutions", schedule="sgd_clan",
            ),
            *rows(
                "clan_fcn8s_vgg16", "fcn8s_clan_vgg16", "clan", 100_000, VGG_SGD,
                of="gta2cs", images="resolutions", schedule="sgd_clan",
            ),
            *rows(
                "clan_fcn8s_vgg16", "fcn8s_clan_vgg16", "clan", 100_000,
                VGG_SGD | {"uda.lambda_local": 10.0},
                of="syn2cs", images="resolutions", schedule="sgd_clan",
            ),
        ],
    ),
    204: Experiment(
        "ADDA, FCNs in the Wild, ROAD and FCAN",
        [*of_papers("gta2cs", "data/gta"), *of_papers("syn2cs", "data/synthia")],
    ),
}  # fmt: skip
