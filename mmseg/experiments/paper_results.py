"""Scores that the papers report, to be seen beside one's own.

Each is given in the paper's comparison with previous methods. Scores of Cityscapes are of its validation set.
Those of ACDC and Dark Zurich are of the test sets, whose labels only the servers have: they cannot be
compared with scores of a validation set. Synthia lacks three of the classes, its scores are means over the
other 16.
"""

from dataclasses import dataclass

DAFORMER = "DAFormer (Hoyer et al., CVPR 2022)"
HRDA = "HRDA (Hoyer et al., ECCV 2022)"
MIC = "MIC (Hoyer et al., CVPR 2023)"


@dataclass(frozen=True)
class PaperResult:
    """A score of a paper.

    Attributes:
        runs: Names of the runs that repeat it, without seed.
        value: In percent.
        paper: Where it is given.
        evaluated_on: Data set and split.
        score: What it is, under our name.
        note: Seeds, and the score of the checkpoint that was published.
    """

    runs: tuple[str, ...]
    value: float
    paper: str
    evaluated_on: str
    score: str = "mIoU"
    note: str = ""

    @property
    def source(self) -> str:
        """Where the score comes from, in a line."""
        return "; ".join(filter(None, (self.paper, self.evaluated_on, self.note)))


def _daformer(pair: str) -> str:
    return f"{pair}_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm"


def _hrda(pair: str, options: str = "") -> str:
    method = f"dacs_a999_fdthings_rcs001-20{options}"
    return f"{pair}_1024x1024_{method}_hrda1-512-01_daformer_sepaspp_sl_mitb5_poly10warm"


CITYSCAPES, ACDC, DARK_ZURICH = "Cityscapes validation", "ACDC test", "Dark Zurich test"
PAPER_RESULTS = (
    PaperResult(
        (_daformer("gta2cs"), "gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5"),
        68.3, DAFORMER, CITYSCAPES, note="mean of 3 seeds, published checkpoint 68.85",
    ),
    PaperResult((_daformer("syn2cs"),), 60.9, DAFORMER, CITYSCAPES, "mIoU16"),
    PaperResult(
        (_hrda("gtaHR2csHR", "_cpl2"), "gtaHR2csHR_hrda"),
        73.8, HRDA, CITYSCAPES, note="mean of 3 seeds, published checkpoint 73.79",
    ),
    PaperResult((_hrda("synHR2csHR", "_cpl2"),), 65.8, HRDA, CITYSCAPES, "mIoU16"),
    PaperResult((_hrda("csHR2acdcHR"),), 68.0, HRDA, ACDC),
    PaperResult((_hrda("csHR2dzurHR"),), 55.9, HRDA, DARK_ZURICH),
    PaperResult(
        (_hrda("gtaHR2csHR", "_cpl2_m64-07-spta"), "gtaHR2csHR_mic_hrda"),
        75.9, MIC, CITYSCAPES, note="mean of 3 seeds",
    ),
    PaperResult((_hrda("synHR2csHR", "_cpl2_m64-07-spta"),), 67.3, MIC, CITYSCAPES, "mIoU16"),
    PaperResult((_hrda("csHR2acdcHR", "_m64-07-sep"),), 70.4, MIC, ACDC),
    PaperResult((_hrda("csHR2dzurHR", "_m64-07-sep"),), 60.2, MIC, DARK_ZURICH),
)  # fmt: skip


def paper_result(run: str) -> PaperResult | None:
    """What a paper reports for a run, by its name without seed."""
    return next((result for result in PAPER_RESULTS if run in result.runs), None)
