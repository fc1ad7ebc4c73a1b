"""Networks that carry their config: folders, here and on the hub."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg import apis
from mmseg.apis import from_pretrained, inference_segmentor, init_segmentor, push_to_hub, save_pretrained
from mmseg.checkpoints.model_folder import ABOUT, CARD, CONFIG, WEIGHTS, find_model
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.commands.publish_model import main as publish
from mmseg.config.load import load_config
from mmseg.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def trained(uda_run):
    return init_segmentor(uda_run.work_dir / "daformer.py", uda_run.checkpoint, device="cpu")


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory) -> Path:
    """A folder; not to be changed."""
    return save_pretrained(
        trained, tmp_path_factory.mktemp("published") / "daformer", {"mIoU": 41.257, "x": 1.0}
    )


@pytest.fixture
def folder(published, tmp_path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "mine"))


def images(toy_data) -> list[Path]:
    return sorted((toy_data / "cityscapes/leftImg8bit/val").rglob("*.png"))


def test_the_same_network_comes_back(trained, published, toy_data):
    model = from_pretrained(published, device="cpu")
    assert (model.classes, model.palette) == (trained.classes, [tuple(colour) for colour in trained.palette])
    assert model.data_preprocessor.statistics == trained.data_preprocessor.statistics
    for one, other in zip(
        *(inference_segmentor(each, images(toy_data)) for each in (model, trained)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert sorted(path.name for path in published.iterdir()) == [CARD, CONFIG, WEIGHTS]


def test_the_config_is_plain_data_without_paths_of_the_run(published, toy_data, uda_run):
    text = (published / CONFIG).read_text()
    assert str(toy_data) not in text and str(uda_run.work_dir) not in text
    assert {"model", "test_dataloader", "test_evaluator", ABOUT} <= json.loads(text).keys()


def test_the_card_says_what_it_is(published):
    card = (published / CARD).read_text()
    assert card.startswith("---\nlibrary_name: mmseg-uda\npipeline_tag: image-segmentation\n")
    for row in (
        "| method | DACS |",
        "| source | GTADataset |",
        "| target | CityscapesDataset |",
        "| mIoU | 41.26 |",
    ):
        assert row in card
    assert "| x |" not in card


def test_a_folder_is_tested_like_a_run(published, toy_data, uda_run, tmp_path):
    options = {
        "test_dataloader.dataset.data_root": str(toy_data / "cityscapes"),
        "test_dataloader.dataset.img_dir": "leftImg8bit/val",
        "test_dataloader.dataset.ann_dir": "gtFine/val",
        "test_dataloader.dataset.img_suffix": "_leftImg8bit.png",
        "test_dataloader.dataset.seg_map_suffix": "_gtFine_labelTrainIds.png",
        "test_dataloader.num_workers": 0,
        "test_dataloader.persistent_workers": False,
    }
    cfg = load_config(published, options)
    cfg.work_dir = str(tmp_path)
    own = uda_run.cfg.copy()
    own.work_dir = str(tmp_path)
    assert apis.test(cfg, published)["mIoU"] == apis.test(own, uda_run.checkpoint)["mIoU"]


def test_classes_go_with_the_weights(published):
    content = read_checkpoint(published)
    assert list(content) == ["state_dict", "meta"]
    assert len(content["meta"]["dataset_meta"]["classes"]) == 19
    assert content["meta"]["normalization"]["mean"] == pytest.approx([123.675, 116.28, 103.53])


def test_files_of_two_networks_are_refused(folder, trained):
    state = {name: value + 1 for name, value in trained.state_dict().items()}
    from safetensors.torch import save_file

    save_file(state, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: SHA-256 .*config\.json beside it names"):
        from_pretrained(folder)


def test_nothing_of_a_config_is_run(folder):
    content = json.loads((folder / CONFIG).read_text())
    for changes in ({"custom_imports": {"imports": ["antigravity"]}}, {"_base_": "x.py"}):
        (folder / CONFIG).write_text(json.dumps(content | changes))
        with pytest.raises(ConfigError, match="in a JSON config, which may not run other files"):
            from_pretrained(folder)
    content["model"]["type"] = "os.system"
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="expected the name of a registered part"):
        from_pretrained(folder)


def test_what_is_no_network(tmp_path, trained):
    with pytest.raises(CheckpointError, match=r"expected config\.json and model\.safetensors in it"):
        from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder, and no name on the hub"):
        from_pretrained("a/b/c")
    (tmp_path / CONFIG).write_text('{"architectures": ["Other"]}')
    with pytest.raises(CheckpointError, match="is not of a network of this framework; name another folder"):
        save_pretrained(trained, tmp_path)
    assert (tmp_path / CONFIG).read_text() == '{"architectures": ["Other"]}'


def test_a_network_of_the_hub_comes_from_its_cache(published, monkeypatch):
    asked = []

    def snapshot_download(*arguments, **options):
        asked.append((arguments, options))
        return str(published)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert from_pretrained("someone/daformer", "cpu", revision="v1").classes
    assert load_config("hf://someone/daformer").model.type == "EncoderDecoder"
    assert find_model("hf://someone/daformer") == published
    assert asked[0] == (("someone/daformer",), {"revision": "v1", "allow_patterns": [CONFIG, WEIGHTS]})
    assert {arguments for arguments, _ in asked} == {("someone/daformer",)}


def test_a_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        CheckpointError, match=r"someone/nothing: no such folder here, and it cannot be had.*into a folder"
    ):
        from_pretrained("someone/nothing")


def test_uploading_sends_the_three_files(published, monkeypatch):
    sent = {}

    class Api:
        def create_repo(self, name, **options):
            sent["repo"] = (name, options)

        def upload_folder(self, **options):
            sent["files"] = options
            return "https://hub/commit"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert push_to_hub(published, "me/daformer", private=True) == "https://hub/commit"
    assert sent["repo"] == ("me/daformer", {"private": True, "exist_ok": True})
    assert (
        sent["files"]["allow_patterns"] == [CONFIG, WEIGHTS, CARD]
        and sent["files"]["folder_path"] == published
    )

    class Refusing(Api):
        def create_repo(self, name, **options):
            raise OSError("401 Unauthorized")

    monkeypatch.setattr("huggingface_hub.HfApi", Refusing)
    with pytest.raises(
        CheckpointError, match=r"me/daformer: cannot be written on the Hugging Face hub.*log in"
    ):
        push_to_hub(published, "me/daformer")


def test_command_writes_a_folder_with_the_scores_of_the_test(uda_run, tmp_path, capsys, toy_data):
    run = tmp_path / "run"
    run.mkdir()
    checkpoint = Path(shutil.copy(uda_run.checkpoint, run))
    (run / "test").mkdir()
    (run / "test" / "results.json").write_text('{"mIoU": 12.345, "class": "x"}')
    out = tmp_path / "net"
    assert publish([str(checkpoint), str(out), "--config", str(uda_run.work_dir / "daformer.py")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert "| mIoU | 12.35 |" in (out / CARD).read_text() or "| mIoU | 12.34 |" in (out / CARD).read_text()
    (label,) = inference_segmentor(from_pretrained(out, "cpu"), images(toy_data)[0])
    assert label.shape == np.array(Image.open(images(toy_data)[0])).shape[:2]
    assert publish([str(checkpoint), str(tmp_path / "x.pth"), "--push", "me/x"]) == 1
    assert "add --config CONFIG" in capsys.readouterr().err
    assert (
        publish(
            [str(checkpoint), str(out), "--config", str(uda_run.work_dir / "daformer.py"), "--scores", "no"]
        )
        == 1
    )
    assert "no: no scores can be read" in capsys.readouterr().err


def test_random_weights_are_kept_bit_by_bit(published, trained):
    state = read_checkpoint(published)["state_dict"]
    assert state.keys() == trained.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in trained.state_dict().items())
