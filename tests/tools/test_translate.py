"""The command that writes images in the look of the target, and its use in a training."""

import copy
import json

import cv2
import numpy as np
import pytest
import torch
from toy_run import run_training, toy_config, weights, write_config
from translation_run import TINY, translation_config

from mmseg import apis
from mmseg.checkpoints.generators import load_generator
from mmseg.commands.translate import MANIFEST, main
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.translation import GeneratorTranslator
from mmseg.models.uda import CycleGAN
from mmseg.registry import MODELS

GENERATOR = TINY["uda.generator"]


@pytest.fixture(scope="module")
def folder(toy_data, tmp_path_factory):
    """A config and two checkpoints, as runs would write them."""
    root = tmp_path_factory.mktemp("translate")
    write_config(translation_config(toy_data, root), root / "config.py")
    for seed, name in enumerate(("one.pth", "two.pth")):
        torch.manual_seed(seed)
        method = CycleGAN(GENERATOR, TINY["uda.discriminator"])
        for way, network in method.generator.items():
            torch.nn.init.constant_(network.model[-2].bias, 0.5 if way == "to_target" else -0.5)
        torch.save({"state_dict": method.state_dict()}, root / name)
    return root


def run(folder, out, *options, checkpoint="one.pth"):
    return main(
        [str(folder / "config.py"), str(folder / checkpoint), "--out", str(folder / out), "--device", "cpu",
         "--pictures", "0", *options]
    )  # fmt: skip


def images(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def test_a_source_is_translated_once_and_completed(folder, toy_data, capsys):
    source = toy_data / "gta" / "images"
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    assert run(folder, "out", "--pictures", "2") == 0
    made = images(folder / "out")
    assert list(made) == names and f"{len(names)} images made" in capsys.readouterr().out
    before, after = (cv2.imread(str(root / names[0])) for root in (source, folder / "out"))
    assert before.shape == after.shape and abs(before.astype(int) - after).mean() > 5
    picture = cv2.imread(str(folder / "out_pictures.png"))
    assert picture.shape[1] == 4 * 384 + 3 * 4, "source, translated, reconstructed, target"
    (folder / "out" / names[1]).unlink()  # as if it had been ended before
    assert run(folder, "out") == 0 and "1 images made" in capsys.readouterr().out
    assert images(folder / "out") == made, "what is left out at random belongs to the name"
    assert run(folder, "parts", "--part", "2/2") == run(folder, "parts", "--part", "1/2") == 0
    assert images(folder / "parts") == made


def test_values_are_those_of_the_generator(folder, toy_data):
    """Padded to a multiple of four, cut to the size, fractions cut off."""
    path = sorted((toy_data / "gta" / "images").rglob("*.png"))[0]
    image = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy())[:30, :41].permute(2, 0, 1)[None] / 255
    translator = GeneratorTranslator(str(folder / "one.pth"), GENERATOR, dropout=False)
    translator.begin_run()
    padded = torch.nn.functional.pad(image, (0, 3, 0, 2), mode="replicate") * 2 - 1
    found = translator(image)
    assert found.shape == image.shape
    torch.testing.assert_close(found, (translator.network(padded)[..., :30, :41] + 1) / 2)
    assert run(folder, "plain", "--no-dropout") == 0
    whole = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    expected = (translator(whole)[0] * 255).byte().permute(1, 2, 0).numpy()
    written = cv2.imread(str(folder / "plain" / path.name))[..., ::-1]
    assert (np.abs(written.astype(int) - expected) <= 1).all() and (written == expected).mean() > 0.999


def test_images_of_two_generators_are_not_mixed(folder, capsys):
    assert run(folder, "one") == 0
    manifest = json.loads((folder / "one" / MANIFEST).read_text())
    assert len(manifest["weights"]) == 64 and manifest["way"] == "to_target"
    for options in (dict(checkpoint="two.pth"), {}):
        assert run(folder, "one", *([] if options else ["--size", "64x32"]), **options) == 1
        assert "made with other settings" in capsys.readouterr().err
    assert run(folder, "back", "--back") == 0
    assert all(name.endswith("leftImg8bit.png") for name in images(folder / "back"))


def test_a_training_takes_the_images_with_the_labels_of_the_source(folder, toy_data, tmp_path):
    assert run(folder, "trained") == 0
    made = str(folder / "trained")
    cfg = toy_config("source_only", toy_data, tmp_path, {"train_dataloader.dataset.img_dir": made})
    sample = apis.training.build_runner(cfg).train_dataloader.dataset[0]
    assert made in sample["img_metas"]["img_path"] and (sample["gt_semantic_seg"] != 255).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "synthia"], "--source synthia; expected one of source"),
        (["--cfg-options", "uda.generator.blocks=2"], "the generator is not of the network in the config"),
        (["--cfg-options", "uda.generator.dropout_ratio=0.0"], "with dropout_ratio the second convolution"),
    ],
)
def test_mistakes_of_a_translation_are_explained(folder, capsys, options, message):
    assert run(folder, "none", *options) == 1
    assert message in capsys.readouterr().err and not (folder / "none").exists()


def test_fda_writes_images_of_its_own(folder, toy_data, tmp_path, capsys):
    options = {
        "uda": dict(_delete_=True, type="SourceOnly", translator=dict(type="FDA", beta=0.05)),
        "val_dataloader": None,
    }
    write_config(toy_config("dacs", toy_data, tmp_path, options), tmp_path / "fda.py")
    command = [str(tmp_path / "fda.py"), "--out", str(tmp_path / "made"), "--device", "cpu"]
    assert main(command) == main(command) == 0
    assert main([*command, "--cfg-options", "uda.translator.beta=0.1"]) == 1
    assert "other settings" in capsys.readouterr().err
    picture = cv2.imread(str(tmp_path / "made_pictures.png"))
    assert picture.shape[1] == 3 * 384 + 2 * 4, "nothing is reconstructed"
    assert main([*command[:1], "--out", str(tmp_path / "back"), "--back"]) == 1


def test_a_translator_changes_the_batch_and_stays_as_it_is(folder, toy_data, tmp_path):
    """A method sees translated images; a resumed run has the same generator, dropout included."""
    translator = dict(type="Generator", checkpoint=str(folder / "one.pth"), generator=GENERATOR)
    options = {
        "uda": dict(_delete_=True, type="SourceOnly", translator=translator),
        "val_dataloader": None, "val_cfg": None, "val_evaluator": None,
        "default_hooks.checkpoint.save_best": None, "default_hooks.checkpoint.max_keep_ckpts": 5,
        "custom_hooks.0.interval": 2,
    }  # fmt: skip
    whole = run_training(toy_config("dacs", toy_data, tmp_path / "whole", copy.deepcopy(options)))
    generator = MODELS.build(copy.deepcopy(GENERATOR))
    load_generator(generator, folder / "one.pth")
    state = weights(whole.checkpoint, "translator.network.")
    for name, value in generator.state_dict().items():
        assert torch.equal(state[f"translator.network.{name}"], value), "frozen"
    start = str(whole.work_dir / "iter_2.pth")
    resumed = run_training(
        toy_config("dacs", toy_data, tmp_path / "resumed", options | {"resume": True, "load_from": start})
    )
    expected = weights(whole.checkpoint)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed.checkpoint).items())
    student = apis.init_segmentor(whole.cfg, whole.checkpoint, device="cpu")
    assert torch.equal(student.decode_head.conv_seg.weight, expected["model.decode_head.conv_seg.weight"])


@pytest.mark.parametrize(
    ("translator", "message"),
    [
        (dict(type="FDA", betta=0.1), r"uda.translator: .*'betta'.*did you mean 'beta'"),
        (dict(type="Generater", checkpoint="x"), "uda.translator: type='Generater' is not a registered"),
        (dict(type="Generator", checkpoint="missing.pth"), "missing.pth: weight file not found"),
    ],
)
def test_a_translator_is_checked_before_the_start(toy_data, tmp_path, translator, message):
    cfg = toy_config(
        "dacs", toy_data, tmp_path, {"uda": dict(_delete_=True, type="SourceOnly", translator=translator)}
    )
    with pytest.raises((ConfigError, CheckpointError), match=message):
        apis.train(cfg)


def test_published_generators_are_read(tmp_path):
    torch.manual_seed(0)
    published = MODELS.build(copy.deepcopy(GENERATOR))
    torch.save(published.state_dict(), tmp_path / "latest_net_G_A.pth")
    found = MODELS.build(copy.deepcopy(GENERATOR))
    load_generator(found, tmp_path / "latest_net_G_A.pth")
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), published.parameters(), strict=True))
