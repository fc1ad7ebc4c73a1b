"""Runs that start from the final weights of other runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from mmseg.checkpoints.atomic import replacing
from mmseg.checkpoints.files import find_checkpoint
from mmseg.config.load import load_config

if TYPE_CHECKING:
    import torch

HRDA_START = "start.pth"
SCALE_SHARED_HEAD = "decode_head.head."
"""Where HRDA keeps the head of the network that it is put over."""


def start_from(config: Path, finished: Path) -> None:
    """Make a run start from the final weights of another run.

    An HRDA network may start from those of the same network without HRDA.

    Args:
        config: Its config file, which is changed. Weights that have to be put together are written to its
            work dir.
        finished: Folder of the other run.

    Raises:
        CheckpointError: That run has no checkpoint.
    """
    from mmseg.checkpoints.networks import find_network, split_networks
    from mmseg.checkpoints.weights import read_checkpoint, state_dict_of

    cfg = load_config(config)
    weights = find_checkpoint(finished)
    cfg.load_from = str(weights)
    if cfg.get("uda") and cfg.model.get("pretrained") is None:
        cfg.model.pretrained = str(weights)  # the feature distance holds on to them
    if cfg.model.type == "HRDAEncoderDecoder":
        networks = split_networks(state_dict_of(read_checkpoint(weights), weights))
        trained = networks[find_network("student", networks, weights)]
        if not any(name.startswith(SCALE_SHARED_HEAD) for name in trained):
            cfg.load_from = str(Path(cfg.work_dir) / HRDA_START)
            write_hrda_start(cfg, trained)
    cfg.dump(config)


def write_hrda_start(cfg: Config, trained: Mapping[str, "torch.Tensor"]) -> None:
    """Write weights of an HRDA network to where its config reads them.

    Encoder and head are as trained, the scale attention as the seed draws it.

    Args:
        cfg: Config of the HRDA run.
        trained: State dict of the same network without HRDA.
    """
    import torch

    from mmseg.apis import init_segmentor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.randomness.seed)
        network = init_segmentor(cfg, device="cpu")
    shared = {name.replace("decode_head.", SCALE_SHARED_HEAD, 1): value for name, value in trained.items()}
    network.load_state_dict({**network.state_dict(), **shared})
    with replacing(cfg.load_from) as temporary:
        torch.save({"state_dict": network.state_dict()}, temporary)
