"""The toy benchmark: every method in small, on scenes that the project draws.

docs/toy_benchmark.md says how the settings came about.
"""

from pathlib import Path

from mmseg.config.base import CONFIGS
from mmseg.experiments.experiment import ConfigRow, Experiment


def _row(name: str, title: str, meaning: str, start: str | None = "toy_source_only") -> ConfigRow:
    """A row on the toy scenes, of a file in configs/quickstart."""
    return ConfigRow(CONFIGS / f"quickstart/{name}.py", title, meaning, start, "toy_")


SOURCE_ONLY = _row("source_only", "source-only", "source labels only", None)
LONGER = _row(
    "source_only_longer", "source-only, longer", "continued on the source for as long as the methods below"
)
DAFORMER = [
    _row("daformer", "DAFormer", "self-training, rare class sampling, feature distance"),
    _row("hrda", "HRDA", "DAFormer with large context and detail crops"),
    _row("mic_daformer", "MIC(DAFormer)", "DAFormer and masked image consistency"),
    _row("mic_hrda", "MIC(HRDA)", "HRDA and masked image consistency"),
]
ORACLE = _row("oracle", "oracle", "target labels", None)
MAIN = [SOURCE_ONLY, LONGER, *DAFORMER, ORACLE]
EARLIER = [
    _row("fcns_in_the_wild", "FCNs in the Wild", "last features aligned, position by position"),
    _row("adda", "ADDA", "class scores aligned, conditional steps"),
    _row("adaptsegnet", "AdaptSegNet", "class probabilities aligned, patch by patch"),
    _row("fcan", "FCAN (RAN)", "last features aligned at several ranges, gradient reversal"),
    _row("road", "ROAD", "features of regions aligned, distillation"),
    _row("min_ent", "MinEnt", "entropy minimisation"),
    _row("advent", "AdvEnt", "weighted self-information aligned"),
    _row("clan", "CLAN", "class probabilities aligned where two classifiers disagree"),
    _row("dacs", "DACS", "self-training on mixed images"),
]
"""Methods that DAFormer is compared with, in the order of their papers."""
ROUNDS = [
    _row("cbst", "CBST", "three rounds of class-balanced labels"),
    _row("crst_mrkld", "CRST (MRKLD)", "CBST with a regulariser of the confidence"),
    _row("intrada", "IntraDA", "AdvEnt, then easy and hard images of the target aligned", "toy_advent"),
]
"""Methods that label the target in rounds."""
ROWS = [SOURCE_ONLY, LONGER, *EARLIER, *ROUNDS, *DAFORMER, ORACLE]


def draw_scenes() -> None:
    """Draw and convert the scenes of the quickstart; what is there already stays."""
    from mmseg.toy.converted import write_converted  # loads what draws

    write_converted(Path("data/toy"), train=400, val=40)


TOY = Experiment(
    "toy street scenes: every method of the papers in small, on two CPU cores",
    ROWS,
    stages=[(MAIN, [0]), (EARLIER, [0]), (ROUNDS, [0]), (MAIN, [1, 2])],
    prepare=draw_scenes,
    parallel=2,
    page=CONFIGS.parent / "docs" / "toy_benchmark.md",
)
