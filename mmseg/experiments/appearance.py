"""Experiments of the methods that change how images look: CyCADA and FDA.

IDs 221 and 224. docs/translation.md says what is published of them, and what differs here.
"""

from typing import Any

from mmseg.experiments.experiment import BY_START, Experiment, PartsRow
from mmseg.experiments.survey import ONE, PUBLISHED_SGD, SUPERVISED, decay_over, rows

Settings = dict[str, Any]
GENERATOR: Settings = dict(type="ResnetGenerator", blocks=9, channels=64, dropout_ratio=0.0)
SMALL_GENERATOR: Settings = GENERATOR | dict(blocks=1, channels=4)
"""Of start-up tests."""
EPOCH = 24_966
"""Images of GTA."""
SCALE = 0.55
"""Images are translated at a width of 1024 pixels, as published; at a height of 1024 GTA's have 1863."""


def generators(name: str) -> PartsRow:
    """CyCADA's generators: 10 + 10 epochs with the identity loss at full weight, and without consistency."""
    by_epoch = [dict(type="LinearToZeroLR", by_epoch=False, constant_iters=10 * EPOCH, period=EPOCH)]
    by_step = [dict(type="LinearToZeroLR", by_epoch=False)]
    networks = ("other_networks.generator", "other_networks.discriminator")
    settings = {
        "train_cfg.max_iters": 20 * EPOCH,
        "uda.generator": GENERATOR,
        "uda.lambda_identity": 1.0,
        **{f"{network}.param_scheduler": by_epoch for network in networks},
    }
    small = {
        "uda.generator": SMALL_GENERATOR,
        **{f"{network}.param_scheduler": by_step for network in networks},
    }
    parts = ("datasets/translate_gta_to_cityscapes_400x400", "uda/cyclegan")
    return PartsRow(name, parts, settings, startup=small)


def translated(**weights: str) -> tuple[Settings, Settings]:
    """Source images drawn by the generator of the run that a row starts from; what start-up tests change."""
    translator = dict(type="Generator", checkpoint=BY_START, scale=SCALE, generator=GENERATOR)
    small = dict(translator, generator=SMALL_GENERATOR)
    return {"uda.translator": translator, **weights}, {"uda.translator": small}


def cycada(network: str) -> list[PartsRow]:
    """Source only, the feature level, the pixel level, and the feature level behind the pixel level.

    Args:
        network: File in configs/_base_/models.
    """
    adda: Settings = dict(of="gta2cs", images="768x768", schedule="sgd_adda")
    slow = {"optim_wrapper.optimizer.lr": 1e-3, "train_dataloader.batch_size": 2}
    pixel, small = translated()
    both, small_both = translated(load_from=BY_START)
    only, pixels = f"source-only_{network}", f"cycada-pixel_{network}"
    drawn = rows(pixels, network, SUPERVISED, 100_000, slow | pixel, **adda, start="cyclegan", startup=small)
    return [
        *rows(only, network, SUPERVISED, 100_000, slow, **adda),
        *rows(f"cycada-feature_{network}", network, "adda", 100_000, {}, **adda, start=only),
        *drawn,
        *rows(f"cycada_{network}", network, "adda", 100_000, both, **adda, start=pixels, startup=small_both),
    ]


def fda(beta: float) -> list[PartsRow]:
    """FDA with one width of the window: on ResNet-101, and FCN-8s on VGG-16."""
    name = f"fda-{str(beta).removeprefix('0.')}"
    settings = {"uda.translator.beta": beta}
    of_resnet = PUBLISHED_SGD | decay_over(150_000) | settings
    return [
        *rows(f"{name}_dlv2_r101", ONE, "fda", 100_000, of_resnet, images="fda"),
        *rows(f"{name}_fcn8s_vgg16", "fcn8s_bdl_vgg16", "fda", 100_000, settings, images="fda",
              schedule="adam_bdl"),
    ]  # fmt: skip


APPEARANCE = {
    221: Experiment(
        "CyCADA: generators, then the pixel level, the feature level, and both",
        [generators("gta2cs_cyclegan"), *cycada("fcn8s_vgg16"), *cycada("drn26")],
    ),
    224: Experiment(
        "FDA: three widths of the window",
        [row for beta in (0.01, 0.05, 0.09) for row in fda(beta)],
    ),
}
