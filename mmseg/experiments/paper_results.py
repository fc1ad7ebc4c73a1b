"""Scores that the papers report, to be seen beside one's own.

Each is given in the paper's comparison with previous methods. Scores of Cityscapes are of its validation set.
Those of ACDC and Dark Zurich are of the test sets, whose labels only the servers have: they cannot be
compared with scores of a validation set. Synthia lacks three of the classes, its scores are means over the
other 16.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DAFORMER = "DAFormer (Hoyer et al., CVPR 2022)"
HRDA = "HRDA (Hoyer et al., ECCV 2022)"
MIC = "MIC (Hoyer et al., CVPR 2023)"
ADAPTSEGNET = "AdaptSegNet (Tsai et al., CVPR 2018)"
ADVENT = "ADVENT (Vu et al., CVPR 2019)"
CLAN = "CLAN (Luo et al., CVPR 2019)"
CYCADA = "CyCADA (J. Hoffman et al., ICML 2018)"
FCNS_WILD = "FCNs in the Wild (J. Hoffman et al., 2016)"
ROAD = "ROAD (Chen et al., CVPR 2018)"
FCAN = "FCAN (Zhang et al., CVPR 2018)"
CBST = "CBST (Zou et al., ECCV 2018)"
CRST = "CRST (Zou et al., ICCV 2019)"
INTRADA = "IntraDA (Pan et al., CVPR 2020)"
TPLD = "TPLD (Shin et al., ECCV 2020)"
MADAN = "MADAN (Zhao et al., NeurIPS 2019)"
RESNET38 = "from the README of its code, with ResNet-38"
FROM_MEMORY = "from memory; networks and training data of the paper may differ"
UNCHECKED = "taken from notes on the paper, not checked there"


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
        per_class: IoU of the classes of Cityscapes, as far as the paper lists them.
    """

    runs: tuple[str, ...]
    value: float
    paper: str
    evaluated_on: str
    score: str = "mIoU"
    note: str = ""
    per_class: tuple[float, ...] = ()

    @property
    def source(self) -> str:
        """Where the score comes from, in a line."""
        return "; ".join(filter(None, (self.paper, self.evaluated_on, self.note)))


def _daformer(pair: str) -> str:
    return f"{pair}_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm"


def _hrda(pair: str, options: str = "") -> str:
    method = f"dacs_a999_fdthings_rcs001-20{options}"
    return f"{pair}_1024x1024_{method}_hrda1-512-01_daformer_sepaspp_sl_mitb5_poly10warm"


def _survey(
    paper: str,
    pair: str,
    score: str,
    values: Mapping[str, float],
    per_class: Mapping[str, tuple[float, ...]] | None = None,
    note: str = "best checkpoint of one run",
) -> list[PaperResult]:
    """Scores of a method of the survey, by the name of the run after that of the pair."""
    note = "; ".join(filter(None, (note, UNCHECKED)))
    return [
        PaperResult(
            (f"{pair}_{name}",), value, paper, CITYSCAPES, score, note, (per_class or {}).get(name, ())
        )
        for name, value in values.items()
    ]


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
    *_survey(ADAPTSEGNET, "gta2cs", "mIoU", {
        "source-only_dlv2_r101": 36.6,
        "adaptsegnet_dlv2_r101": 42.4,
        "adaptsegnet-single_dlv2_r101": 41.4,
        "adaptsegnet-single-ls_dlv2_r101": 44.1,
        "adaptsegnet-single_dlv2_vgg16": 35.0,
    }, {
        "adaptsegnet_dlv2_r101": (
            86.5, 36.0, 79.9, 23.4, 23.3, 23.9, 35.2, 14.8, 83.4, 33.3, 75.6, 58.5, 27.6, 73.7, 32.5, 35.4,
            3.9, 30.1, 28.1,
        ),
    }),
    *_survey(ADAPTSEGNET, "cs", "mIoU", {"target-only_dlv2_r101": 65.1}),
    *_survey(ADAPTSEGNET, "cs", "mIoU13", {"target-only_dlv2_r101": 71.7}),
    *_survey(ADAPTSEGNET, "syn2cs", "mIoU13", {
        "source-only_dlv2_r101": 38.6,
        "adaptsegnet_dlv2_r101": 46.7,
        "adaptsegnet-single_dlv2_r101": 45.9,
        "adaptsegnet-single-ls_dlv2_r101": 47.6,
        "adaptsegnet-single_dlv2_vgg16": 37.6,
    }),
    *_survey(ADVENT, "gta2cs", "mIoU", {
        "minent_dlv2_vgg16": 32.8,
        "advent_dlv2_vgg16": 36.1,
        "minent_dlv2_r101": 42.3,
        "minent-er_dlv2_r101": 43.1,
        "advent_dlv2_r101": 43.8,
    }),
    *_survey(ADVENT, "syn2cs", "mIoU16", {
        "minent_dlv2_vgg16": 27.5,
        "minent-cp_dlv2_vgg16": 30.4,
        "advent-cp_dlv2_vgg16": 31.4,
        "minent_dlv2_r101": 38.1,
        "advent_dlv2_r101": 40.8,
    }),
    *_survey(ADVENT, "syn2cs", "mIoU13", {
        "minent_dlv2_vgg16": 32.5,
        "minent-cp_dlv2_vgg16": 35.4,
        "advent-cp_dlv2_vgg16": 36.6,
        "minent_dlv2_r101": 44.2,
        "advent_dlv2_r101": 47.6,
    }),
    *_survey(
        ADVENT, "syn2cs", "mIoU16", {"adaptsegnet_dlv2_r101": 39.6},
        note="AdaptSegNet trained by the authors of ADVENT, 45.8 over 13 classes",
    ),
    *_survey(CLAN, "gta2cs", "mIoU", {"clan_dlv2_r101": 43.2, "clan_fcn8s_vgg16": 36.6}, {
        "clan_dlv2_r101": (
            87.0, 27.1, 79.6, 27.3, 23.3, 28.3, 35.5, 24.2, 83.6, 27.4, 74.2, 58.6, 28.0, 76.2, 33.1, 36.7,
            6.7, 31.9, 31.4,
        ),
    }),
    *_survey(CLAN, "syn2cs", "mIoU13", {"clan_dlv2_r101": 47.8, "clan_fcn8s_vgg16": 39.3}),
    *_survey(
        CYCADA, "gta2cs", "mIoU", {"source-only_fcn8s_vgg16": 17.9, "adda_fcn8s_vgg16": 29.2},
        note="its rows without translated images",
    ),
    *_survey(
        CYCADA, "gta2cs", "mIoU",
        {
            "cycada-feature_fcn8s_vgg16": 29.2,
            "cycada-pixel_fcn8s_vgg16": 34.8,
            "cycada_fcn8s_vgg16": 35.4,
            "source-only_drn26": 21.7,
            "cycada-feature_drn26": 31.7,
            "cycada-pixel_drn26": 37.0,
            "cycada_drn26": 39.5,
        },
        note=FROM_MEMORY,
    ),
    *_survey(
        FCNS_WILD, "gta2cs", "mIoU",
        {
            "source-only_dilated_vgg16": 21.1,
            "fcnswild-global_dilated_vgg16": 25.5,
            "fcnswild_dilated_vgg16": 27.1,
        },
        note="",
    ),
    *_survey(
        FCNS_WILD, "syn2cs", "mIoU",
        {"source-only_dilated_vgg16": 14.7, "fcnswild_dilated_vgg16": 17.0},
        note="a mean over 19 classes, three of which Synthia lacks; that of source-only presumably",
    ),
    *_survey(
        FCNS_WILD, "syn2cs", "mIoU16", {"fcnswild_dilated_vgg16": 20.2}, note="",
    ),
    *_survey(FCNS_WILD, "syn2cs", "mIoU13", {"fcnswild_dilated_vgg16": 22.9}, note=""),
    *_survey(
        ROAD, "gta2cs", "mIoU", {"road_dlv2_r101": 39.4},
        note="from its abstract; networks and training data of the paper may differ",
    ),
    *_survey(ROAD, "gta2cs", "mIoU", {"road_dlv2_vgg16": 35.9}, note=FROM_MEMORY),
    *_survey(ROAD, "syn2cs", "mIoU16", {"road_dlv2_vgg16": 36.2}, note=FROM_MEMORY),
    *_survey(FCAN, "gta2cs", "mIoU", {"source-only_pspnet_r101": 29.15}, note=""),
    *_survey(
        FCAN, "gta2cs", "mIoU", {"fcan_pspnet_r101": 44.81},
        note="with the statistics of the target in the batch norms; 46.60 with adapted images",
    ),
    *_survey(
        FCAN, "gta2cs", "mIoU", {"adda_pspnet_r101": 38.30, "fcnswild_pspnet_r101": 42.04},
        note="its comparison with previous methods",
    ),
    *_survey(CBST, "gta2cs", "mIoU", {
        "st_dlv2_r101": 41.5, "cbst_dlv2_r101": 45.2, "cbst-sp_dlv2_r101": 46.2,
    }, note=RESNET38),
    *_survey(
        CBST, "syn2cs", "mIoU16", {"st_dlv2_r101": 32.2, "cbst_dlv2_r101": 42.5}, note=RESNET38,
    ),
    *_survey(
        CBST, "syn2cs", "mIoU13", {"st_dlv2_r101": 36.9, "cbst_dlv2_r101": 48.5},
        note=f"{RESNET38}; computed from the table of 16 classes",
    ),
    *_survey(
        CRST, "gta2cs", "mIoU", {"source-only-crst_dlv2_r101": 33.35},
        note="from the README of its code",
    ),
    *_survey(CRST, "gta2cs", "mIoU", {
        "crst-cbst_dlv2_r101": 45.9, "crst-lrent_dlv2_r101": 45.9, "crst-mrkld_dlv2_r101": 47.1,
    }, note="46.47, 46.51 and 47.39 for CBST, LRENT and MRKLD in the README of its code"),
    *_survey(
        CRST, "gta2cs", "mIoU", {"crst-mrl2_dlv2_r101": 46.0, "crst-mrent_dlv2_r101": 46.1},
        note="from memory",
    ),
    *_survey(
        CRST, "syn2cs", "mIoU16", {"crst-cbst_dlv2_r101": 42.6, "crst-lrent_dlv2_r101": 42.7}, note="",
    ),
    *_survey(
        CRST, "syn2cs", "mIoU13", {"crst-cbst_dlv2_r101": 48.9, "crst-lrent_dlv2_r101": 48.7}, note="",
    ),
    *_survey(CRST, "syn2cs", "mIoU16", {"crst-mrkld_dlv2_r101": 43.8}, note="from memory"),
    *_survey(CRST, "syn2cs", "mIoU13", {"crst-mrkld_dlv2_r101": 50.1}, note="from memory"),
    *_survey(INTRADA, "gta2cs", "mIoU", {"intrada_dlv2_r101": 46.3, "intrada-norm_dlv2_r101": 47.0}),
    *_survey(INTRADA, "syn2cs", "mIoU16", {"intrada_dlv2_r101": 41.7}),
    *_survey(INTRADA, "syn2cs", "mIoU13", {"intrada_dlv2_r101": 48.9}),
    *_survey(TPLD, "gta2cs", "mIoU", {"tpld_dlv2_r101": 51.2}, note=""),
    *_survey(TPLD, "syn2cs", "mIoU16", {"tpld_dlv2_r101": 47.3}, note=""),
    *_survey(TPLD, "syn2cs", "mIoU13", {"tpld_dlv2_r101": 53.5}, note=""),
    *_survey(
        MADAN, "gtasyn2cs", "mIoU16", {"source-only_fcn8s_vgg16": 24.0},
        note="from memory, about, and of 16 classes presumably; sources combined",
    ),
    *_survey(
        MADAN, "gtasyn2cs", "mIoU16", {"mdan-hard-sum_fcn8s_vgg16": 29.4, "mdan-soft-sum_fcn8s_vgg16": 29.4},
        note="from memory; which bound, and whether of 16 classes, is not known",
    ),
)  # fmt: skip


def paper_results(run: str) -> list[PaperResult]:
    """What papers report for a run, by its name without seed: one score, or several of other classes."""
    return [result for result in PAPER_RESULTS if run in result.runs]
