"""Networks that carry their config: a folder, here or on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.apis.inference import init_segmentor, test_pipeline
from mmseg.checkpoints.model_folder import ABOUT, CARD, CONFIG, WEIGHTS, find_model, write_model_folder
from mmseg.config.base import base
from mmseg.errors import CheckpointError
from mmseg.models.normalization import without_pretrained
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.version import __version__

TRAINING = ("train_cfg", "val_cfg", "custom_hooks", "load_from", "resume", "randomness")
"""Sections of the default runtime that say nothing about a trained network."""
SCORES = ("mIoU", "mIoU16", "mIoU13", "mAcc", "aAcc")


def from_pretrained(
    name: str | Path, device: str | None = None, revision: str | None = None
) -> EncoderDecoder:
    """A trained network out of a folder or from the hub. No code is executed on loading.

    Args:
        name: A folder that :func:`save_pretrained` has written, or ``owner/name`` on the Hugging Face hub.
        device: ``'cpu'``, ``'cuda:0'``…; None takes a GPU when there is one.
        revision: Branch, tag or commit on the hub.

    Returns:
        The segmentor in eval mode, as :func:`init_segmentor` gives it.

    Raises:
        CheckpointError: There is no such network, or its files do not belong together.

    Example:
        ``inference_segmentor(from_pretrained('published/daformer'), 'street.jpg')``
    """
    folder = find_model(name, revision)
    return init_segmentor(folder, folder / WEIGHTS, device)


def save_pretrained(
    model: EncoderDecoder, folder: str | Path, scores: Mapping[str, float] | None = None
) -> Path:
    """Write a network with its config, so that :func:`from_pretrained` and every tool can use it.

    Args:
        model: Made by :func:`init_segmentor` with weights.
        folder: It is made; of a network of before the files are replaced.
        scores: What a test of it gave, in percent, for the card.

    Returns:
        The folder.

    Raises:
        CheckpointError: The folder holds another program's network, or cannot be written.
    """
    config = shared_config(model)
    card = model_card(Path(folder).resolve().name, model.cfg, config, scores or {})
    write_model_folder(folder, config, model.state_dict(), card)
    return Path(folder)


def push_to_hub(folder: str | Path, hub_id: str, private: bool = False) -> str:
    """Upload a folder that :func:`save_pretrained` has written to the Hugging Face hub.

    Args:
        folder: The folder.
        hub_id: ``owner/name``; it is made where it does not exist.
        private: Whether others can see it; of a new one.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: The folder holds no network, or the hub refuses.
    """
    from huggingface_hub import HfApi

    folder = find_model(folder)
    try:
        api = HfApi()
        api.create_repo(hub_id, private=private, exist_ok=True)
        return str(
            api.upload_folder(repo_id=hub_id, folder_path=folder, allow_patterns=[CONFIG, WEIGHTS, CARD])
        )
    except Exception as error:  # of the hub's own, of the network: there is no common one
        raise CheckpointError(
            f"{hub_id}: cannot be written on the Hugging Face hub ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}); log in with 'hf auth login', and check name and connection"
        ) from error


def shared_config(model: EncoderDecoder) -> dict[str, Any]:
    """The config of a network for others: how it is built and tested, without paths and training."""
    runtime = {key: value for key, value in base("default_runtime").items() if key not in TRAINING}
    kept = ("LoadImage", "Resize", "LoadLabel", "PackInputs")
    pipeline = [dict(step) for step in test_pipeline(model.cfg) if step["type"] in kept]
    palette = [list(colour) for colour in model.palette]
    dataset = dict(
        type="CustomDataset", classes=list(model.classes), palette=palette, pipeline=pipeline, test_mode=True
    )
    loader = base("datasets/parts/loaders")["test_dataloader"]
    network = Config(without_pretrained(model.cfg)).to_dict()
    statistics = model.data_preprocessor.statistics
    return {
        ABOUT: {
            "version": __version__,
            "dataset_meta": {"classes": list(model.classes), "palette": palette},
            "normalization": statistics,
        },
        "model": network,
        "test_dataloader": {**loader, "dataset": dataset},
        "test_evaluator": dict(type="IoUMetric"),
        **runtime,
    }


def model_card(name: str, trained: Config, config: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """The page that the hub shows, Markdown with its header.

    Args:
        name: Of the network.
        trained: Config that it was trained with.
        config: What :func:`shared_config` gave.
        scores: In percent.
    """
    network = config["model"]
    method = (trained.get("uda") or {}).get("type", "trained on labelled images only")
    encoder = network["backbone"].get("name", network["backbone"]["type"])
    rows = [
        ("network", f"{network['type']}, {encoder}, {network['decode_head']['type']}"),
        ("method", method),
        *((role, text) for role, text in _data(trained).items()),
        ("classes", ", ".join(config["test_dataloader"]["dataset"]["classes"])),
        *((score, f"{value:.2f}") for score, value in scores.items() if score in SCORES),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return f"""---
library_name: mmseg-uda
pipeline_tag: image-segmentation
tags: [semantic-segmentation, domain-adaptation]
---
# {name}

A network for semantic segmentation, trained with mmseg-uda {__version__}.

| | |
|---|---|
{table}

```python
from mmseg.apis import from_pretrained, inference_segmentor

labels = inference_segmentor(from_pretrained("{name}"), "street.jpg")
```

Images are scaled and normalised as `{CONFIG}` says, which is data: nothing in it is run. Please cite the
paper of the method and those of the data sets; licences of the data may restrict the use of the weights.
"""


def _data(trained: Config) -> dict[str, str]:
    """Types of the data sets of a config by their role."""
    dataset = (trained.get("train_dataloader") or {}).get("dataset") or {}
    roles = {role: dataset[role] for role in ("source", "target") if isinstance(dataset.get(role), Mapping)}
    return {role: text for role, data in (roles or {"data": dataset}).items() if (text := _types(data))}


def _types(data: Mapping[str, Any]) -> str:
    """The type of a data set, or of each of several by their names."""
    if "type" in data:
        return str(data["type"])
    several: Sequence[Any] = [
        each.get("dataset", each) for each in data.values() if isinstance(each, Mapping)
    ]
    return ", ".join(str(each["type"]) for each in several if "type" in each)
