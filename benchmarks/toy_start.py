"""What the runs of experiment 0 start from: scenes, and the weights of other runs."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg.apis import init_segmentor
from mmseg.checkpoints.weights import read_checkpoint, state_dict_of
from mmseg.config.load import load_config
from mmseg.datasets.conversion import convert_cityscapes, convert_gta
from mmseg.launch.run_dir import find_checkpoint
from mmseg.toy import make_toy_dataset

DATA = Path("data/toy")
HRDA_START = "start.pth"


def write_data() -> None:
    """Draw and convert the scenes, those of the quickstart; what is there already stays."""
    processes = os.cpu_count() or 1
    make_toy_dataset(DATA, ["gta", "cityscapes"], train=400, val=40, nproc=processes)
    convert_gta(str(DATA / "gta"), nproc=processes)
    convert_cityscapes(str(DATA / "cityscapes"), nproc=processes)


def start_from(config: Path, source_only: Path) -> None:
    """Make a run start from source-only weights.

    Args:
        config: Its config file, which is changed. Weights that have to be put together are written to its
            work dir.
        source_only: Folder of the finished source-only run.

    Raises:
        CheckpointError: That run has no checkpoint.
    """
    cfg = load_config(config)
    weights = find_checkpoint(source_only)
    cfg.load_from = str(weights)
    if cfg.get("uda"):  # the feature distance holds on to them, in place of ImageNet weights
        cfg.model.pretrained = str(weights)
    if cfg.model.type == "HRDAEncoderDecoder":
        start = Path(cfg.work_dir) / HRDA_START
        start.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": hrda_start(cfg, state_dict_of(read_checkpoint(weights), weights))}, start)
        cfg.load_from = str(start)
    cfg.dump(config)


def hrda_start(cfg: Config, trained: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of an HRDA network: encoder and head as trained, the scale attention as the seed draws it.

    Args:
        cfg: Config of the HRDA run.
        trained: State dict of the same network without HRDA.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.randomness.seed)
        network = init_segmentor(cfg, device="cpu")
    shared = {name.replace("decode_head.", "decode_head.head.", 1): value for name, value in trained.items()}
    network.load_state_dict({**network.state_dict(), **shared})
    return network.state_dict()
