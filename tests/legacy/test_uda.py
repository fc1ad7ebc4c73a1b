"""Settings of the adaptation method that have another place today."""

import pytest
from mmengine.config import Config

from mmseg.config.load import with_todays_names
from mmseg.errors import ConfigError
from mmseg.legacy import todays_uda
from mmseg.models.uda import MinEnt, SourceOnly
from mmseg.registry import MODELS, accepted_arguments

MASKING = dict(mask_mode="separatetrg", mask_generator=dict(mask_ratio=0.7, mask_block_size=16))


@pytest.mark.parametrize(
    ("method", "masking", "teacher"),
    [
        (dict(type="DACS", alpha=0.9), {}, None),
        (dict(type="DACS", alpha=0.9), dict(mask_alpha="same", mask_pseudo_threshold="same"), None),
        (dict(type="DACS", alpha=0.9), dict(mask_alpha=0.5), dict(alpha=0.5, pseudo_threshold=0.968)),
        (
            dict(type="DACS", pseudo_threshold=0.7),
            dict(mask_alpha="same", mask_pseudo_threshold=None),
            dict(alpha=0.99, pseudo_threshold=None),
        ),
        (dict(type="DACS", alpha=0.9), dict(mask_alpha=0.9), dict(alpha=0.9, pseudo_threshold=0.968)),
        (dict(type="MinEnt"), dict(mask_alpha="same"), None),
        (dict(type="MinEnt", alpha=0.9), dict(mask_alpha="same"), dict(alpha=0.9, pseudo_threshold=0.968)),
        (dict(type="AdvSeg", pseudo_threshold=None), {}, dict(alpha=0.999, pseudo_threshold=None)),
        (dict(type="AdvSeg"), dict(mask_pseudo_threshold=0.5), dict(alpha=0.999, pseudo_threshold=0.5)),
        (
            dict(type="DACS", source_only=True, alpha=0.9),
            dict(mask_alpha="same"),
            dict(alpha=0.9, pseudo_threshold=0.968),
        ),
    ],
)
def test_same_stands_for_the_value_of_the_method(method, masking, teacher):
    before = dict(method, masking=MASKING | masking)
    found = todays_uda(before)
    assert found["masking"] == MASKING | (dict(teacher=teacher) if teacher else {})
    assert todays_uda(found) == found, "nothing is left to be done"
    assert before["masking"] == MASKING | masking, "the section itself stays as it is"
    known, _ = accepted_arguments(MODELS.get(found["type"]))
    assert found.keys() - {"type"} <= known


def test_source_only_is_a_method():
    old = dict(
        type="DACS", source_only=True, mix="class", alpha=0.9, blur=False, color_jitter_strength=0.3,
        imnet_feature_dist_lambda=0.5, pseudo_weight_ignore_top=3,
        masking=dict(MASKING, mask_mode="separatesrc"),
    )  # fmt: skip
    found = todays_uda(old)
    masking = found.pop("masking")
    assert found == dict(type="SourceOnly", imnet_feature_dist_lambda=0.5)
    assert masking["color_jitter_strength"] == 0.3 and masking["mask_mode"] == "separatesrc"
    assert todays_uda(dict(type="DACS", source_only=False, alpha=0.9)) == dict(type="DACS", alpha=0.9)
    assert MODELS.get(todays_uda(dict(type="DACS", source_only=True))["type"]) is SourceOnly
    assert MODELS.get(todays_uda(dict(type="MinEnt", alpha=0.9))["type"]) is MinEnt
    with pytest.raises(ConfigError, match="mix='cut' is unknown; expected 'class'"):
        todays_uda(dict(type="DACS", mix="cut"))


def test_the_data_preprocessor_of_a_method_is_that_of_its_network():
    own = dict(type="SegDataPreprocessor", mean=[1, 2, 3])
    cfg = Config(dict(model=dict(type="EncoderDecoder"), uda=dict(type="DACS", data_preprocessor=own)))
    found = with_todays_names(cfg)
    assert found.uda == dict(type="DACS") and found.model.data_preprocessor == own
    found.uda.data_preprocessor = dict(type="SegDataPreprocessor")
    with pytest.raises(ConfigError, match=r"uda.data_preprocessor differs from model.data_preprocessor"):
        with_todays_names(found)
