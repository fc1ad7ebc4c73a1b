"""The runs of experiment 0: source-only, DAFormer, HRDA, MIC and the oracle on the toy street scenes.

Every method starts from the source-only weights of its seed, since there are no ImageNet weights at hand.
"""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmseg.config.load import load_config

EXP_ID = 0
TITLE = "toy street scenes: every method of the papers in small, on two CPU cores"
SEEDS = (0, 1, 2)
QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart"


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

    @property
    def max_iters(self) -> int:
        """Iterations of the training."""
        return make_config(self).train_cfg.max_iters


def runs() -> list[ToyRun]:
    """All runs; those that others start from come first, seeds are innermost."""
    return [ToyRun(method, seed) for method in ROWS for seed in SEEDS]


def make_config(run: ToyRun) -> Config:
    """The complete config of a run, but for the weights it starts from."""
    identity = {"randomness.seed": run.seed, "exp": EXP_ID, "name": run.name}
    return load_config(QUICKSTART / f"{run.row.config}.py", identity)
