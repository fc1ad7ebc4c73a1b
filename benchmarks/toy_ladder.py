"""The runs of experiment 0: source-only, DAFormer, HRDA, MIC and the oracle on the toy street scenes.

Every method starts from the source-only weights of its seed, since there are no ImageNet weights at hand.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg.apis import init_segmentor
from mmseg.apis.config import load_config
from mmseg.apis.run_dir import find_checkpoint
from mmseg.datasets.conversion import convert_cityscapes, convert_gta
from mmseg.datasets.toy import make_toy_dataset
from mmseg.models.pretrained import read_checkpoint, state_dict_of

EXP_ID = 0
TITLE = "toy street scenes: every method of the papers in small, on two CPU cores"
SEEDS = (0, 1, 2)
DATA = Path("data/toy")
QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart"
HRDA_START = "start.pth"


@dataclass(frozen=True)
class Row:
    """One method of the table.

    Attributes:
        config: Name of its config in configs/quickstart.
        meaning: What it is, for the table.
        continues: Whether it starts from the source-only weights of the same seed.
    """

    config: str
    meaning: str
    continues: bool = True


SOURCE_ONLY = "source-only"
ROWS = {
    SOURCE_ONLY: Row("source_only", "source labels only", continues=False),
    "source-only, longer": Row(
        "source_only_longer", "continued on the source for as long as the methods below"
    ),
    "DAFormer": Row("daformer", "self-training, rare class sampling, feature distance"),
    "HRDA": Row("hrda", "DAFormer with large context and detail crops"),
    "MIC(DAFormer)": Row("mic_daformer", "DAFormer and masked image consistency"),
    "MIC(HRDA)": Row("mic_hrda", "HRDA and masked image consistency"),
    "oracle": Row("oracle", "target labels", continues=False),
}


@dataclass(frozen=True)
class ToyRun:
    """One training: a method (a key of :data:`ROWS`) and a seed."""

    method: str
    seed: int

    @property
    def row(self) -> Row:
        """The method's row of the table."""
        return ROWS[self.method]

    @property
    def row_name(self) -> str:
        """The name without the seed."""
        return f"toy_{self.row.config}"

    @property
    def name(self) -> str:
        """As ``toy_mic_hrda_s0``."""
        return f"{self.row_name}_s{self.seed}"

    @property
    def start(self) -> "ToyRun | None":
        """The run whose weights this one starts from."""
        return ToyRun(SOURCE_ONLY, self.seed) if self.row.continues else None


def runs() -> list[ToyRun]:
    """All runs; those that others start from come first, seeds are innermost."""
    return [ToyRun(method, seed) for method in ROWS for seed in SEEDS]


def make_config(run: ToyRun) -> Config:
    """The complete config of a run, but for the weights it starts from."""
    identity = {"randomness.seed": run.seed, "exp": EXP_ID, "name": run.name}
    return load_config(QUICKSTART / f"{run.row.config}.py", identity)


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
