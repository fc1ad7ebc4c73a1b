"""Several sources and several targets: what is drawn, how it travels, what is refused."""

import hashlib
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg.commands.prepare_data import training_sets
from mmseg.config.checks import _check_sources, check_crops
from mmseg.datasets import seg_collate
from mmseg.datasets.sampling.class_statistics import Counted, write_class_statistics
from mmseg.datasets.verify import open_parts, quick_check, verify
from mmseg.errors import ConfigError, DataError
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.uda import UDABatch
from mmseg.registry import DATASETS
from mmseg.reports.browse_dataset import tiles_of

CLASSES = ["road", "car", "train"]
COLOURS = [[128, 64, 128], [0, 0, 142], [0, 80, 100]]
RCS = dict(min_pixels=10, class_temp=0.1)
SIZES = {"gta": 3, "synthia": 6, "fog": 2, "night": 4}


def data_set(root, name, size=16, **changes):
    pipeline = [
        dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="RandomCrop", crop_size=size),
        dict(type="Pad", size=size), dict(type="PackInputs"),
    ]  # fmt: skip
    own = dict(data_root=str(root / name), img_dir="images", ann_dir="labels", pipeline=pipeline)
    return dict(type="CustomDataset", classes=CLASSES, palette=COLOURS) | own | changes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images whose first channel says the domain and whose second one the file; synthia has no train."""
    root = tmp_path_factory.mktemp("domains")
    for number, (name, size) in enumerate(SIZES.items()):
        pixels = {}
        for file in range(size):
            image = np.zeros((24, 24, 3), np.uint8)
            image[..., 2], image[..., 1] = number, file
            label = np.zeros((24, 24), np.uint8)
            label[:, 12:] = 1
            if name == "gta" and file == 0:
                label[:12, 12:] = 2
            for folder, array in (("images", image), ("labels", label)):
                path = root / name / folder / f"{file}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), array)
            pixels[str(path)] = {int(c): int((label == c).sum()) for c in np.unique(label)}
        write_class_statistics(root / name, pixels, Counted(tuple(CLASSES), counted_by="the test"))
    return root


def several(root, **changes):
    """Two sources, the second with its own rare class sampling, and two targets."""
    cfg = dict(
        type="UDADataset",
        source=dict(
            gta=dict(dataset=data_set(root, "gta")),
            synthia=dict(dataset=data_set(root, "synthia"), rare_class_sampling=RCS),
        ),
        target=dict(
            fog=dict(dataset=data_set(root, "fog")), night=dict(dataset=data_set(root, "night"), weight=3)
        ),
    )
    return cfg | changes


def run_config(root, **changes):
    cfg = Config(dict(train_dataloader=dict(batch_size=2, dataset=several(root, **changes))))
    return cfg


# ---------------------------------------------------------------------------------------------- what is drawn


def digest(dataset, positions=range(12)):
    found = hashlib.sha256()
    for position in positions:
        for key, value in sorted(dataset[position].items()):
            if isinstance(value, torch.Tensor):
                found.update(key.encode() + value.numpy().tobytes())
    return found.hexdigest()[:16]


STREAMS = {"uniform": (None, "e454246c861cc2e1"), "rare classes": (RCS, "1e36b033709ec77f")}


@pytest.mark.parametrize("name", STREAMS)
def test_the_stream_of_one_source_and_one_target_is_that_of_former_versions(root, name):
    """Digests of the version before there were several; naming a single domain changes nothing."""
    rcs, expected = STREAMS[name]
    gta, fog = data_set(root, "gta"), data_set(root, "fog")
    plain = dict(type="UDADataset", source=gta, target=fog, rare_class_sampling=rcs, seed=3)
    named = plain | dict(
        source=dict(gta=dict(dataset=gta, rare_class_sampling=rcs)), target=dict(fog=dict(dataset=fog))
    )
    for cfg in (plain, named, named | dict(mode="joint")):
        dataset = DATASETS.build(cfg)
        assert "source_domain" not in dataset[0]
        assert digest(dataset) == expected


def test_mixed_samples_are_of_a_domain_drawn_by_weight(root):
    dataset = DATASETS.build(several(root, seed=1))
    assert len(dataset) == 9 * 6
    found = Counter()
    for position in range(400):
        sample = dataset[position]
        source, target = sample["source_domain"], sample["target_domain"]
        assert source.dtype == target.dtype == torch.int64 and source.shape == target.shape == ()
        assert sample["img"][0].unique().tolist() == [source]
        assert sample["target_img"][0].unique().tolist() == [2 + target]
        assert sample["img_metas"]["domain"] == ("gta", "synthia")[source]
        assert sample["target_img_metas"]["domain"] == ("fog", "night")[target]
        found[int(source), int(target)] += 1
    expected = {(0, 0): 50, (0, 1): 150, (1, 0): 50, (1, 1): 150}
    # chi-square with 3 degrees of freedom is below 16.3 with p = 0.999
    assert sum((found[pair] - count) ** 2 / count for pair, count in expected.items()) < 16.3
    again = DATASETS.build(several(root, seed=1))
    assert all(torch.equal(again[7][key], dataset[7][key]) for key in ("img", "target_img", "source_domain"))


def test_domains_by_their_number_of_files(root):
    cfg = several(root)
    for source in cfg["source"].values():
        source["weight"] = "files"
    dataset = DATASETS.build(cfg)
    share = np.mean([int(dataset[i]["source_domain"]) for i in range(300)])
    assert share == pytest.approx(6 / 9, abs=0.09)


def test_each_source_has_its_own_rare_class_sampling(root):
    """GTA takes over that of the whole, Synthia has another one; None means uniform files."""
    cfg = several(root, rare_class_sampling=dict(min_pixels=1, class_temp=0.001))
    gta, synthia = (source.rcs for source in DATASETS.build(cfg).sources)
    assert gta.classes == [2, 1, 0] and gta.probabilities[0] > 0.99 and gta.min_pixels == 1
    assert synthia.classes == [0, 1] and synthia.min_pixels == 10
    cfg["source"]["synthia"]["rare_class_sampling"] = None
    assert DATASETS.build(cfg).sources[1].rcs is None


def test_joint_samples_hold_an_image_of_each_source(root):
    dataset = DATASETS.build(several(root, mode="joint"))
    samples = [dataset[i] for i in range(3)]
    assert samples[0]["img"].shape == (2, 3, 16, 16) and samples[0]["source_domain"].tolist() == [0, 1]
    batch = seg_collate(samples)
    assert batch["img"].shape == (3, 2, 3, 16, 16) and batch["gt_semantic_seg"].shape == (3, 2, 16, 16)
    assert batch["target_img"].shape == (3, 3, 16, 16) and batch["source_domain"].shape == (3, 2)
    assert [meta["domain"] for meta in batch["img_metas"]] == ["gta", "synthia"] * 3
    preprocess = SegDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1])
    flat = UDABatch.from_dict(preprocess(batch))
    assert flat.img.shape == (6, 3, 16, 16) and flat.gt_semantic_seg.shape == (6, 16, 16)
    assert flat.source_domain.tolist() == [0, 1] * 3 and flat.joint_sources == 2
    for number in range(2):
        part = flat.of_source(number)
        assert torch.equal(part.img, torch.stack([sample["img"][number] for sample in samples]).float())
        labels = [sample["gt_semantic_seg"][number] for sample in samples]
        assert torch.equal(part.gt_semantic_seg, torch.stack(labels).long())
        assert part.source_domain.tolist() == [number] * 3 and part.target_img is flat.target_img
    with pytest.raises(ConfigError, match=r"images of source 2 are needed .* found images of 2 sources"):
        flat.of_source(2)
    mixed = UDABatch.from_dict(preprocess(seg_collate([DATASETS.build(several(root))[i] for i in range(2)])))
    assert mixed.joint_sources == 1 and len(mixed.source_domain) == 2
    with pytest.raises(ConfigError, match=r"of source 1 .* 1 source at each place; .*mode='joint'"):
        mixed.of_source(1)


def test_a_batch_of_targets_with_and_without_margins(root):
    cfg = several(root)
    cfg["target"]["fog"]["dataset"]["crop_pseudo_margins"] = [8, 0, 0, 0]
    dataset = DATASETS.build(cfg)
    batch = seg_collate([dataset[i] for i in range(16)])
    for mask, target in zip(batch["valid_pseudo_mask"], batch["target_domain"], strict=True):
        assert mask.all() == (target == 1)


def test_a_common_crop_of_all_images(root):
    for mode, shape in dict(mixed=(3, 8, 12), joint=(2, 3, 8, 12)).items():
        sample = DATASETS.build(several(root, mode=mode, sync_crop_size=(8, 12)))[0]
        assert sample["img"].shape == shape and sample["target_img"].shape == (3, 8, 12)
        assert sample["gt_semantic_seg"].shape[-2:] == (8, 12)


# --------------------------------------------------------------------------------------- what a source labels


def test_what_a_source_does_not_label_is_trained_as_nothing(root):
    """A source with label values of its own: 0 is a road, 1 a 'vehicle', which may be any class, and is left
    out of id_map. Its pixels have no gradient in any class; those of the others are an ordinary softmax over
    all classes, so what the source never labels is only pushed down where it labels something else."""
    cfg = several(root)
    cfg["source"]["synthia"] = dict(dataset=data_set(root, "synthia", id_map={0: 0}))
    dataset = DATASETS.build(cfg | dict(mode="joint"))
    labels = torch.stack([dataset[i]["gt_semantic_seg"][1] for i in range(4)])
    assert labels.unique().tolist() == [0, 255]
    logits = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    CrossEntropyLoss()(logits, labels.long()).backward()
    ignored = labels == 255
    assert (logits.grad.movedim(1, -1)[ignored] == 0).all()
    labelled = logits.grad.movedim(1, -1)[~ignored]
    expected = (
        logits.detach().softmax(1).movedim(1, -1)[~ignored] - torch.tensor([1, 0, 0])
    ) / labels.numel()
    torch.testing.assert_close(labelled, expected)


def test_classes_have_to_be_common(root):
    cfg = several(root)
    other = dict(classes=["street", "car", "train"])
    cfg["source"]["synthia"]["dataset"].update(other)
    cfg["source"]["synthia"].pop("rare_class_sampling")
    message = r"source gta \(3\) and source synthia \(3\) need .* \['road', 'street'\]\. .* id_map says which"
    for refuse in (lambda: DATASETS.build(cfg), lambda: quick_check(run_config(root, source=cfg["source"]))):
        with pytest.raises(ConfigError, match=message):
            refuse()


# --------------------------------------------------------------------------------------- tools and bad input


def test_all_domains_are_verified(root):
    cfg = run_config(root)
    parts = verify(cfg, nproc=1)
    assert {part.name: len(part.dataset) for part in parts} == {
        "train source gta": 3, "train source synthia": 6, "train target fog": 2, "train target night": 4
    }  # fmt: skip
    assert not any(part.problems for part in parts)
    assert [part.rcs for part in parts] == [None, RCS, None, None]
    cfg.train_dataloader.dataset.source.synthia.rare_class_sampling.min_pixels = 10_000
    cfg.train_dataloader.dataset.target.night.dataset.data_root = "nowhere"
    with pytest.raises(DataError) as error:
        quick_check(cfg)
    assert "train source synthia: " in str(error.value) and "train target night: " in str(error.value)


def test_tools_find_all_domains(root):
    place = "train_dataloader.dataset"
    found = training_sets(run_config(root))
    assert list(found) == [
        f"{place}.{each}.dataset" for each in ("source.gta", "source.synthia", "target.fog", "target.night")
    ]
    assert [each.get("load_labels", True) for each in found.values()] == [True, True, False, False]
    captions = [tile.caption for tile in tiles_of(DATASETS.build(several(root, mode="joint")), 0)]
    assert captions[0] == ("source gta image, sample 0", captions[0][1])
    assert captions[2][0] == "source synthia image, sample 0" and "RCS drew" in captions[3][1]
    assert captions[4][0] in ("target fog image", "target night image")


def test_crops_of_all_domains_fit(root):
    cfg = run_config(root)
    cfg.uda = dict(type="SourceOnly")
    cfg.train_dataloader.dataset.source.gta.dataset = data_set(root, "gta", size=20)
    with pytest.raises(
        ConfigError, match=r"20x20 pixels from the source gta and 16x16 .* synthia; they form"
    ):
        list(check_crops(cfg, open_parts(cfg)))
    with pytest.raises(DataError, match=r"img: images of different size .*gta.*\(20, 20\), .*synthia"):
        DATASETS.build(several(root, mode="joint", source=cfg.train_dataloader.dataset.source.to_dict()))[0]


def test_data_show_sources_as_the_method_needs_them(root):
    cfg = run_config(root, mode="joint")
    cfg.uda, cfg.optim_wrapper = dict(type="MDAN"), {}
    _check_sources(cfg)
    cfg.uda.num_sources = 3
    with pytest.raises(ConfigError, match=r"num_sources=3 of MDAN, found images of 2 .* gta, synthia"):
        _check_sources(cfg)
    cfg.uda = dict(type="DACS")
    with pytest.raises(ConfigError, match=r"DACS pairs each .* mode='joint' of 2 sources"):
        _check_sources(cfg)
    cfg.train_dataloader.dataset.mode = "mixed"
    _check_sources(cfg)
    cfg.uda = dict(type="MDAN")
    with pytest.raises(ConfigError, match=r"num_sources=2 of MDAN, found images of 1 .* mode='mixed'"):
        _check_sources(cfg)


WRONG = {
    "no data set": (dict(source=dict(gta=dict(weight=1))), r"source\.gta=.*; expected source=dict\(type="),
    "no domain": (dict(target={}), "target names no domain"),
    "a data set without type": (dict(source=dict(data_root="x")), r"source\.data_root='x'; expected"),
    "unknown key": (dict(target=dict(fog=dict(dataset={}, rare_class_sampling={}))), "with dataset, weight$"),
    "weight 0": (dict(target=dict(fog=dict(dataset={}, weight=0))), r"weight=\{'fog': 0\}; expected"),
    "weight of a kind": (
        dict(target=dict(a=dict(dataset={}, weight="files"), b=dict(dataset={}))),
        r"weight=\{'a': 'files', 'b': 1\}; expected numbers for all domains, or 'files' for all",
    ),
    "mode": (dict(mode="alternating"), "mode='alternating'; expected 'mixed' or 'joint'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_domains_that_cannot_be_understood(root, name):
    changes, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        DATASETS.build(several(root, **changes))


def test_lists_of_one_domain_are_refused_where_only_one_fits(root):
    cfg = several(root)
    with pytest.raises(ConfigError, match="one source and one target, found 2 sources and 2 targets"):
        DATASETS.build(cfg | dict(type="SelfTrainingDataset"))
    with pytest.raises(ConfigError, match=r"rounds with 2 targets \(fog, night\), but a round labels one"):
        DATASETS.build(cfg).begin_round(type("Labels", (), dict(has_soft=False)), 0)
