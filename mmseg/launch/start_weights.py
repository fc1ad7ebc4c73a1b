"""Runs that start from the final weights of other runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from mmseg.checkpoints.atomic import replacing
from mmseg.checkpoints.files import find_checkpoint
from mmseg.config.load import entries, load_config
from mmseg.experiments.experiment import BY_START

if TYPE_CHECKING:
    import torch

WEIGHTS = ("load_from", "checkpoint")
"""Keys of a config that name files of weights."""
START = "start.pth"
"""Weights that have to be put together for a run, in its work dir."""
SCALE_SHARED_HEAD = "decode_head.head."
"""Where HRDA keeps the head of the network that it is put over."""


def start_from(config: Path, finished: Path) -> None:
    """Make a run start from the final weights of another run.

    Where the config says ``'start'`` (in ``load_from``, or a ``checkpoint`` anywhere), the checkpoint of that
    run is meant, and it goes nowhere else; otherwise the student has its weights. An HRDA network may start
    from those of the same network without HRDA, and one with auxiliary heads from those of one without.

    Args:
        config: Its config file, which is changed. Weights that have to be put together are written to its
            work dir.
        finished: Folder of the other run.

    Raises:
        CheckpointError: That run has no checkpoint.
    """
    from mmseg.checkpoints.networks import find_network, split_networks
    from mmseg.checkpoints.weights import AUXILIARY, read_checkpoint, state_dict_of

    cfg = load_config(config)
    weights = find_checkpoint(finished)
    if asked := [place for place, key, x in entries(cfg.to_dict()) if key in WEIGHTS and x == BY_START]:
        cfg.merge_from_dict(dict.fromkeys(asked, str(weights)))
        cfg.dump(config)
        return
    cfg.load_from = str(weights)
    if cfg.get("uda") and cfg.model.get("pretrained") is None:
        cfg.model.pretrained = str(weights)  # the feature distance holds on to them
    is_hrda = cfg.model.type == "HRDAEncoderDecoder"
    parts = [SCALE_SHARED_HEAD] * is_hrda + [AUXILIARY] * bool(cfg.model.get("auxiliary_head"))
    if parts:
        networks = split_networks(state_dict_of(read_checkpoint(weights), weights))
        trained = networks[find_network("student", networks, weights)]
        new = [part for part in parts if not any(name.startswith(part) for name in trained)]
        if SCALE_SHARED_HEAD in new:
            trained = {
                name.replace("decode_head.", SCALE_SHARED_HEAD, 1): value for name, value in trained.items()
            }
        if new:
            cfg.load_from = str(Path(cfg.work_dir) / START)
            write_start(cfg, trained)
    cfg.dump(config)


def write_start(cfg: Config, trained: Mapping[str, "torch.Tensor"]) -> None:
    """Write the weights that a run starts from to where its config reads them.

    Args:
        cfg: Config of the run.
        trained: State dict of a part of its network; the rest is as the seed draws it.
    """
    import torch

    from mmseg.apis import init_segmentor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.randomness.seed)
        network = init_segmentor(cfg, device="cpu")
    network.load_state_dict({**network.state_dict(), **trained})
    with replacing(cfg.load_from) as temporary:
        torch.save({"state_dict": network.state_dict()}, temporary)
