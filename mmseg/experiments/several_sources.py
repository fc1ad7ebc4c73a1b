"""Experiments of the methods that learn from several sources: GTA and Synthia together to Cityscapes.

ID 223. Network and optimizer are those of MDAN in MADAN's published code; images, length and all of DCTN,
which was published for classification, are chosen here.
"""

from typing import Any

from mmseg.experiments.experiment import Experiment, PartsRow

Settings = dict[str, Any]
NETWORK = "fcn8s_vgg16"
VOTING: Settings = {"model.type": "VotingEncoderDecoder", "model.num_sources": 2}
NARROW: Settings = {
    "model.backbone.channels": 64,
    "model.decode_head.channels": 64,
    "model.decode_head.in_channels": (3, 256, 512, 64),
}
"""Two of the layers of FCN-8s have 120 million weights, too many for a quick try."""
BOTH_PARTS: Settings = {"uda.discriminative_iters": 1, "uda.adversarial_iters": 1}


def row(name: str, uda: str, settings: Settings, startup: Settings | None = None) -> PartsRow:
    """A run on FCN-8s, whose samples have an image of each source.

    Args:
        name: Of the run, between those of the domains and of the network.
        uda: File in configs/_base_/uda.
        settings: What the run changes.
        startup: What start-up tests change beside the sizes of images.
    """
    parts = (
        "datasets/uda_gta_synthia_to_cityscapes_512x512",
        f"models/{NETWORK}",
        "schedules/adam_mdan",
        f"uda/{uda}",
    )
    joint = {"train_cfg.max_iters": 20_000, "train_dataloader.dataset.mode": "joint"}
    return PartsRow(f"gtasyn2cs_{name}_{NETWORK}", parts, joint | settings, startup=NARROW | (startup or {}))


SEVERAL_SOURCES = {
    223: Experiment(
        "MDAN and DCTN from GTA and Synthia to Cityscapes",
        [
            row("source-only", "dacs_srconly", {}),
            *(
                row(f"mdan-{bound}{end}", "mdan", {"uda.bound": bound, "uda.task": task})
                for task, end in (("each", ""), ("sum", "-sum"))
                for bound in ("hard", "soft")
            ),
            row("dctn", "dctn", VOTING, BOTH_PARTS),
        ],
    ),
}
