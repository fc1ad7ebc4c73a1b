"""``sh test.sh RUN_DIR`` on folders of runs as the published code left them behind."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from golden_data import GOLDEN, gen, listing
from networks import published_names
from old_configs import old_config, with_tuples
from PIL import Image
from published_settings import published_settings
from released_runs import as_json, as_python, published_weights, stored_case, write_images, write_run

from experiments import make_config, runs
from mmseg.apis import init_segmentor, test
from mmseg.checkpoints.files import find_checkpoint, find_config
from mmseg.checkpoints.networks import split_networks
from mmseg.config.load import load_config
from mmseg.errors import CheckpointError, ConfigError
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
test.__test__ = False  # type: ignore[attr-defined]  # the function of the API


def call_test_sh(run: Path, *options: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["sh", "test.sh", f"{run}/", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def prediction(folder: Path, index: int) -> np.ndarray:
    path = folder / "frankfurt" / f"frankfurt_{index:06d}_000019_leftImg8bit.png"
    with Image.open(path) as file:
        assert file.mode == "P"
        return np.array(file)


def probabilities(model: Any, image: Path) -> np.ndarray:
    """(C, H, W) of an image that the config does not resize."""
    rgb = np.ascontiguousarray(cv2.imread(str(image))[..., ::-1])
    batch = model.data_preprocessor({"img": torch.from_numpy(rgb).permute(2, 0, 1)[None]})
    return model.predict_probabilities(batch["img"])[0].numpy()


# ----------------------------------------------------------------------------------- DAFormer, stored numbers


@pytest.fixture(scope="module")
def daformer(tmp_path_factory) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """Run folder, images, and the stored numbers of the published code for them."""
    case = stored_case("daformer")
    root = tmp_path_factory.mktemp("released")
    data = root / "data" / "cityscapes"
    write_images(data, case["shapes"])
    state = published_weights(case["statedict"])
    run = write_run(root / "old work dirs", case["name"], case["config"], state, data, as_json)
    with np.load(GOLDEN / "legacy" / "daformer.npz") as archive:
        return run, data, dict(archive)


def test_daformer_by_the_script(daformer):
    """Unchanged folder with spaces in its path; the first image alone, for the sake of time."""
    run, data, stored = daformer
    split = data / "first.txt"
    split.write_text("frankfurt/frankfurt_000000_000019\n")
    done = call_test_sh(run, "--cfg-options", f"data.test.split={split}", "data.workers_per_gpu=0")
    assert done.returncode == 0, done.stderr
    assert f"Config File: {run}/{run.name}.json\n" in done.stdout
    assert f"Checkpoint File: {run}/latest.pth\n" in done.stdout
    assert "warning" not in done.stderr
    loaded = "loaded 1110 weights of model.*; missing: 0; left over: ema_model.* 1110, imnet_model.* 1110"
    assert loaded in done.stdout
    assert (prediction(run / "preds", 0) == stored["pred0"]).mean() >= 0.998


@pytest.mark.slow
def test_daformer_has_the_published_probabilities_and_scores(daformer, tmp_path):
    run, data, stored = daformer
    cfg = load_config(find_config(run), {"data.workers_per_gpu": 0, "work_dir": str(tmp_path / "work")})
    model = init_segmentor(cfg, find_checkpoint(run), device="cpu")
    for index in range(2):
        image = data / "leftImg8bit/val/frankfurt" / f"frankfurt_{index:06d}_000019_leftImg8bit.png"
        found = probabilities(model, image)
        np.testing.assert_allclose(found[:, ::16, ::16], stored[f"prob_s16_{index}"], atol=2e-3)
        assert (found.argmax(0) == stored[f"pred{index}"]).mean() >= 0.998
    scores = test(cfg, find_checkpoint(run), show_dir=tmp_path / "preds")
    for index in range(2):
        assert (prediction(tmp_path / "preds", index) == stored[f"pred{index}"]).mean() >= 0.998
    for name in ("aAcc", "mIoU", "mAcc"):
        assert scores[name] == pytest.approx(100 * stored[name], abs=0.05)


# ------------------------------------------------------------------------------ HRDA and MIC, small networks

SMALL = {
    "model.backbone.type": "mit_b0",
    "model.decode_head.in_channels": [32, 64, 160, 256],
    "model.decode_head.channels": 32,
    "model.decode_head.decoder_params.embed_dims": 32,
    "model.hr_crop_size": (64, 64),
    "model.test_cfg.crop_size": (128, 128),
    "model.test_cfg.stride": (64, 64),
}
SCALE = (256, 128)


def settings_of(exp_id: int, index: int) -> dict[str, Any]:
    return next(row for row in published_settings()[exp_id] if row["index"] == index)


def small_old_config(exp_id: int, index: int) -> dict[str, Any]:
    config = old_config(settings_of(exp_id, index))
    for place, value in SMALL.items():
        *way, last = place.split(".")
        part = config
        for key in way:
            part = part[key]
        part[last] = list(value) if isinstance(value, tuple) else value
    config["data"]["workers_per_gpu"] = 0
    config["data"]["test"]["pipeline"][1]["img_scale"] = list(SCALE)
    return config


@pytest.mark.parametrize(
    ("exp_id", "suffix", "listed"),
    [(40, ".json", "hrda_mitb5"), (80, ".py", "mic_own_teacher_mitb5")],
    ids=["hrda", "mic"],
)
def test_multi_resolution_runs(exp_id, suffix, listed, tmp_path):
    """By the script; predictions equal those of the network that today's config of the same run describes."""
    today = make_config(runs(exp_id)[0])
    today.merge_from_dict({**SMALL, "model.pretrained": None})
    model = MODELS.build(today.model).eval()
    gen.fill(model.state_dict(), "model.")
    student = model.state_dict()
    networks = split_networks({name: torch.empty(0) for name, _, _ in listing(f"statedict_{listed}")})
    others = [name for name in networks if name != "model"]
    assert {"ema_model", "imnet_model"} <= set(others)
    assert ("mic.teacher.ema_model" in others) == listed.startswith("mic")
    state = {f"model.{name}": value for name, value in student.items()}
    state |= {f"{net}.{name}": torch.zeros_like(v) for net in others for name, v in student.items()}
    data = tmp_path / "data"
    write_images(data, [[100, 200]])
    config = small_old_config(exp_id, 0)
    write = as_json if suffix == ".json" else as_python
    config = config if suffix == ".json" else with_tuples(config)
    run = write_run(tmp_path, "20220615_gtaHR2csHR_s0_246ef", config, state, data, write)
    assert find_config(run).suffix == suffix

    cfg = load_config(find_config(run), {"work_dir": str(tmp_path / "work")})
    assert cfg.model.test_cfg.mode == "slide" and cfg.model.test_cfg.batched_slide
    for part in ("type", "scales", "hr_crop_size", "feature_scale", "crop_coord_divisible", "test_cfg"):
        assert cfg.model[part] == today.model[part], part
    image = data / "leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png"
    bgr = cv2.resize(cv2.imread(str(image)), SCALE, interpolation=cv2.INTER_LINEAR)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    batch = model.data_preprocessor({"img": torch.from_numpy(rgb).permute(2, 0, 1)[None]})
    expected = model.predict(batch["img"], size=(100, 200))[0].argmax(0).numpy()
    done = call_test_sh(run)
    assert done.returncode == 0, done.stderr
    left_over = ", ".join(f"{net}.* {len(student)}" for net in others)
    assert f"loaded {len(student)} weights of model.*; missing: 0; left over: {left_over}" in done.stdout
    assert "warning" not in done.stderr
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(prediction(run / "preds", 0), expected)


@pytest.mark.parametrize(
    ("exp_id", "index", "name"),
    [(6, 36, "daformer_mitb5"), (40, 0, "hrda_mitb5"), (80, 0, "hrda_mitb5"), (81, 0, "advseg_dlv2_r101"),
     (1, 3, "dlv2_r101_dacs")],
)  # fmt: skip
def test_translated_networks_have_the_entries_of_published_checkpoints(exp_id, index, name, tmp_path):
    """By name and shape; residual networks know their published names."""
    cfg = load_config(as_json(old_config(settings_of(exp_id, index)), tmp_path / name))
    with torch.device("meta"):
        model = MODELS.build({**cfg.model, "pretrained": None})
    published = {}
    for key, shape, _ in listing(f"statedict_{name}"):
        if key.startswith("model."):
            published[key.removeprefix("model.")] = shape
    names = published_names(model)
    found = {
        names[key]: "x".join(map(str, value.shape)) or "scalar" for key, value in model.state_dict().items()
    }
    assert found == published


# ------------------------------------------------------------------------------------------------ run folders


@pytest.fixture
def folder(tmp_path) -> Path:
    """An old run folder without content, in a folder with spaces in its name."""
    run = tmp_path / "my old runs" / "211108_1622_gta2cs_daformer_s0_7f24c"
    run.mkdir(parents=True)
    for name in ("20211108_1622.log", "20211108_1622.log.json", "code.tar.gz", f"{run.name}.json"):
        (run / name).write_text("")
    (run / "preds").mkdir()
    return run


def test_config_among_other_files(folder, monkeypatch):
    assert find_config(folder) == folder / f"{folder.name}.json"
    (folder / "notes.json").write_text("")
    assert find_config(folder) == folder / f"{folder.name}.json"
    monkeypatch.chdir(folder)
    assert find_config(Path()).name == f"{folder.name}.json"
    renamed = folder / "210101_gta2cs_uda_7f24c.py"
    (folder / f"{folder.name}.json").rename(renamed)
    assert find_config(folder) == renamed
    (folder / "another_7f24c.py").write_text("")
    with pytest.raises(
        ConfigError, match=r"expected one config file .*found 210101.*, another.*, notes\.json"
    ):
        find_config(folder)


def test_checkpoint_of_an_old_folder(folder):
    (folder / "latest.pth").symlink_to("iter_40000.pth")
    with pytest.raises(CheckpointError, match=r"no checkpoint .* found none"):
        find_checkpoint(folder)
    (folder / "daformer.pth").write_text("")
    assert find_checkpoint(folder) == folder / "daformer.pth"
    (folder / "best.pth").write_text("")
    with pytest.raises(CheckpointError, match=r"found best\.pth, daformer\.pth"):
        find_checkpoint(folder)
    torch.save({}, folder / "iter_8000.pth")
    assert find_checkpoint(folder) == folder / "iter_8000.pth"
    torch.save({}, folder / "iter_40000.pth")
    assert find_checkpoint(folder) == folder / "latest.pth"


@pytest.mark.parametrize("safe_path", [True, False], ids=["safe path", "as Python 3.10"])
def test_inside_another_checkout(tmp_path, safe_path):
    """The folder it is started in has packages and programs of the same names; they are not run.

    The program says that the weights do not fit, and predicts nothing with them.
    """
    other = tmp_path / "MIC"
    for name in ("mmseg/__init__.py", "mmseg/apis/__init__.py", "mmseg/launch/run_dir.py",
                 "tools/__init__.py", "tools/test.py", "run_experiments.py", "torch.py",
                 "mmengine.py"):  # fmt: skip
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("raise SystemExit('the other checkout')\n")
    script = (ROOT / "test.sh").read_text()
    if not safe_path:
        assert "PYTHONSAFEPATH=1" in script
        script = script.replace(" PYTHONSAFEPATH=1", "").replace('$(dirname "$0")', str(ROOT))
    run = other / "my runs" / "a_run_00000"
    data = other / "data"
    write_images(data, [[64, 64]])
    state = {"model.decode_head.head.conv_seg.weight": torch.zeros(19, 32, 1, 1)}
    write_run(run.parent, run.name, small_old_config(40, 0), state, data, as_json)
    environment = {**os.environ, "PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    file = tmp_path / "test.sh"
    file.write_text(script)
    script_path = ROOT / "test.sh" if safe_path else file
    command = ["sh", str(script_path), "my runs/a_run_00000"]
    done = subprocess.run(command, cwd=other, env=environment, capture_output=True, text=True)
    assert "the other checkout" not in done.stderr
    assert "Config File: my runs/a_run_00000/a_run_00000.json\n" in done.stdout
    assert done.returncode == 1 and "another network than the config" in done.stderr, done.stderr
    assert re.search(r"missing in the file \(\d{3}\)", done.stderr) and "Traceback" not in done.stderr
    assert not list(run.glob("preds/**/*.png"))
