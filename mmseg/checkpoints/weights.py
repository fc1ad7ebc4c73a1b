"""Reading weight files: ImageNet weights of a backbone, and checkpoints of whole segmentors.

Files are read with an allow-list of harmless types; code in a file is never run. Weights of another network
are an error, not a warning, since the network would run and give nonsense.
"""

import _codecs
import difflib
import logging
import pickle
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from mmseg.checkpoints.atomic import claim
from mmseg.checkpoints.download import download
from mmseg.checkpoints.hub_weights import HUB_WEIGHTS, hub_file
from mmseg.checkpoints.model_folder import HUB, WEIGHTS, find_model, is_model_folder, meta_beside
from mmseg.checkpoints.networks import find_network, split_networks
from mmseg.checkpoints.packaged import PACKAGED_WEIGHTS
from mmseg.errors import CheckpointError, ConfigError

MIN_FITTING_SHARE = 90
"""Percent of the entries that fit by name and shape, of those of a backbone or of its file (the more)."""
EXTRA_STATE = "_extra_state"
"""Ends the names of the entries of a state dict that are no weights."""
OPTIONAL = ("num_batches_tracked", EXTRA_STATE)
AUXILIARY = "auxiliary_head."
"""Begins the names of entries that a network needs only where it has such a head itself."""
CLASSIFIERS = ("head.", "fc.", "classifier.")
TIMM_WEIGHTS = "timm"
"""As ``pretrained``: what timm itself downloads for its network."""
OPEN_MMLAB = "open-mmlab://"
"""Begins the names of OpenMMLab's ImageNet weights; their files are looked up in ``pretrained/``."""

SOURCES = {
    "mit_b": "ImageNet-1K weights of the encoder, linked in the README of "
    "https://github.com/NVlabs/SegFormer under 'Training'",
    "vgg16-397923af": "ImageNet weights of torchvision, at "
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "drn_c_26": "ImageNet weights of its authors, at http://dl.yf.io/drn/drn_c_26-ddedf421.pth",
    "DeepLab_resnet": "weights of ImageNet and MS-COCO, converted from Caffe, at "
    "http://vllab.ucmerced.edu/ytsai/CVPR18/DeepLab_resnet_pretrained_init-f81d91e8.pth",
}
"""Begins the name of a file of weights -> what it is and where to get it."""
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


@dataclass
class LoadReport:
    """What a weight file had for a network: the weights that fit, and the names of those that do not;
    of those with another shape both tensors."""

    loaded: dict[str, Tensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def misfits(self) -> str:
        """A few entries of each kind of misfit; empty where everything fits."""
        kinds = {
            "missing in the file": self.missing,
            "unknown to the network": self.unexpected,
            "other shape": [
                f"{name} ({tuple(theirs.shape)} in the file, {tuple(ours.shape)} in the network)"
                for name, (theirs, ours) in self.mismatched.items()
            ],
        }
        return "; ".join(f"{kind} ({len(names)}): {_few(names)}" for kind, names in kinds.items() if names)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def require_file(path: str | Path) -> Path:
    """The path of a weight file that exists.

    Args:
        path: Of the file, or a folder that holds a network (also ``hf://owner/name`` on the hub), see
            :mod:`~mmseg.checkpoints.model_folder`, or a name in
            :data:`~mmseg.checkpoints.packaged.PACKAGED_WEIGHTS` for the file in an installed package, or
            in :data:`~mmseg.checkpoints.hub_weights.HUB_WEIGHTS` for one on the Hugging Face hub, or
            ``open-mmlab://<name>`` for OpenMMLab's weights of this name in ``pretrained/``, or an address
            (``https://…``) to download to ``pretrained/`` once. The file is
            checked against ``#sha256=<digits>`` at the end of the address, or the digits that OpenMMLab,
            torch and timm write in the file's name (``…-e67eebb6.pth``).

    Raises:
        CheckpointError: It does not; for ImageNet weights the message says where to get them.
    """
    if packaged := PACKAGED_WEIGHTS.get(str(path)):
        return packaged.path()
    if str(path) in HUB_WEIGHTS:
        return hub_file(str(path))
    if str(path).startswith(OPEN_MMLAB):
        return _open_mmlab_file(str(path).removeprefix(OPEN_MMLAB))
    if str(path).startswith(("http://", "https://")):
        return _downloaded(str(path))
    if str(path).startswith(HUB) or is_model_folder(path):
        return find_model(path) / WEIGHTS
    path, remedy = Path(path), "check the path"
    if path.is_file():
        return path
    for beginning, source in SOURCES.items():
        if path.name.startswith(beginning):
            remedy = (
                f"download {path.name} ({source}) and save it as {path}, or set model.pretrained=None to "
                "train from scratch"
            )
    raise CheckpointError(f"{path}: weight file not found; expected a PyTorch checkpoint there; {remedy}")


def _downloaded(address: str) -> Path:
    """The file of an address in ``pretrained/``; downloaded when it is not there yet."""
    url, fragment = urllib.parse.urldefrag(address)
    path = Path("pretrained", Path(urllib.parse.urlsplit(url).path).name)
    named = HASH_IN_NAME.search(path.name)
    sha256 = fragment.removeprefix("sha256=") or (named[1] if named else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with claim(path.with_name(f".{path.name}.lock"), wait=True):  # several processes may start together
        download(url, path, sha256)
    return path


def _open_mmlab_file(name: str) -> Path:
    """The file of OpenMMLab's weights, which carries a part of its checksum in its name."""
    from mmengine.runner.checkpoint import get_external_models

    urls = get_external_models()
    file_name = Path(urls.get(name, f"{name}.pth")).name
    for pattern in (file_name, f"{name}.pth", f"{name}-*.pth"):
        if found := sorted(Path("pretrained").glob(pattern)):
            return found[0]
    if name not in urls:
        close = [OPEN_MMLAB + other for other in difflib.get_close_matches(name, urls, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else "check the name"
        raise CheckpointError(f"{OPEN_MMLAB}{name}: OpenMMLab has no weights of this name; {hint}")
    raise CheckpointError(
        f"{OPEN_MMLAB}{name}: weight file not found; download {file_name} (ImageNet weights of the encoder) "
        f"from {urls[name]}, save it as pretrained/{file_name}, or set model.pretrained=None to train from "
        "scratch"
    )


@dataclass(frozen=True)
class ForeignNames:
    """How a file of other code names the weights of an encoder.

    Attributes:
        key: Where the file holds them, as ``'ema.encoder'``: names of dicts in dicts.
        prefix: What stands before the names of the encoder's entries; all others are left out.
        rename: Regular expression -> what replaces it (``re.sub``) in the names without prefix, one after the
            other.
    """

    key: str = ""
    prefix: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)

    def state_of(self, content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
        """The weights of a file by the names that are left.

        Raises:
            CheckpointError: There is nothing at the key, or no name begins with the prefix.
            ConfigError: A regular expression is none.
        """
        for part in self.key.split(".") if self.key else ():
            inner = content.get(part)
            if not isinstance(inner, Mapping):
                dicts = [name for name, value in content.items() if isinstance(value, Mapping)]
                raise CheckpointError(
                    f"{path}: model.pretrained_names.key={self.key!r}: there is no dict {part!r}; expected "
                    f"one of {dicts or 'none'}"
                )
            content = inner
        state = state_dict_of(content, path)
        found = {name[len(self.prefix) :]: v for name, v in state.items() if name.startswith(self.prefix)}
        if not found:
            raise CheckpointError(
                f"{path}: model.pretrained_names.prefix={self.prefix!r}: no entry begins so; found names as "
                f"{_few(sorted(state))}"
            )
        for pattern, replacement in self.rename.items():
            try:
                found = {re.sub(pattern, replacement, name): value for name, value in found.items()}
            except re.error as error:
                raise ConfigError(
                    f"config: model.pretrained_names.rename: {pattern!r} -> {replacement!r}: {error}"
                ) from error
        return found


def _way_out(backbone: nn.Module, content: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """What to do about weights that do not fit: they may be in the file, under other names or elsewhere."""
    adapt = getattr(backbone, "adapt_weights", dict)
    own = backbone.state_dict()
    prefixes = {name[: at + 1] for name in state for at, letter in enumerate(name) if letter == "."}
    for prefix in sorted(prefixes, key=len):
        inner = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if len(inner) >= len(own) and own.keys() <= adapt(inner).keys():
            return f"The names begin with {prefix!r}: set model.pretrained_names=dict(prefix={prefix!r})"
    return (
        "Use ImageNet weights of the config's backbone; names of other code are translated by "
        "model.pretrained_names=dict(key=..., prefix=..., rename=...), see docs/backbones.md"
        + _dicts_in(content)
    )


def _dicts_in(content: Mapping[str, Any]) -> str:
    found = [name for name, value in content.items() if isinstance(value, Mapping)]
    return f"; the file holds the dicts {found}, model.pretrained_names.key names one" if found else ""


def load_pretrained_backbone(
    backbone: nn.Module, path: str | Path, names: Mapping[str, Any] | None = None
) -> LoadReport:
    """Load ImageNet weights into a backbone.

    The file holds a state dict, alone or under ``state_dict`` or ``model``; entries of its classifier are
    ignored. Of a checkpoint of a whole segmentor the (student's) encoder is taken. A backbone that knows
    other namings than its own has a method ``adapt_weights``.

    Args:
        backbone: The encoder.
        path: As for :func:`require_file`, or ``'timm'`` for what timm downloads.
        names: Arguments of :class:`ForeignNames`, for a file of other code.

    Returns:
        Which entries were used; also logged.

    Raises:
        CheckpointError: The file is missing or unreadable, or of another backbone: a weight of this one is
            not in it, or more than a tenth of its entries are left over.
    """
    if path == TIMM_WEIGHTS:
        fetch = getattr(backbone, "download_weights", None)
        if fetch is None:
            raise CheckpointError(
                f"pretrained='timm': {type(backbone).__name__} is not in timm; name a weight file instead"
            )
        fetch()
        return LoadReport(loaded=backbone.state_dict())
    content = read_checkpoint(path)
    if names:
        state = ForeignNames(**names).state_of(content, path)
    else:
        networks = split_networks(state_dict_of(content, path))
        state = networks[find_network("student", networks, path)]
        prefix = "backbone."
        state = {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)} or state
    given = state
    if adapt := getattr(backbone, "adapt_weights", None):
        state = adapt(state)
    state = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    report = compare(backbone, state)
    others = len(report.mismatched) + max(len(report.missing), len(report.unexpected))
    share = 100 * len(report.loaded) // max(len(report.loaded) + others, 1)
    misfits = report.misfits()
    if report.missing or report.mismatched or share < MIN_FITTING_SHARE:
        raise CheckpointError(
            f"{path}: {share}% of the weights fit the backbone, expected all of its own, few others; "
            f"{misfits}. {_way_out(backbone, content, given)}"
        )
    backbone.load_state_dict(report.loaded, strict=False)
    rest = misfits and f"; {misfits}"
    print_log(f"{path}: loaded {len(report.loaded)} weights of the backbone{rest}", "current")
    return report


def load_checkpoint(
    model: nn.Module, path: str | Path, network: str = "student", new_classifier: bool = False
) -> dict[str, Any]:
    """Load a trained segmentor; logs what was used of the file, and warns where its weights were trained on
    images that were normalised in another way.

    Takes checkpoints of this framework, those published with DAFormer, HRDA and MIC, and others whose names
    the network knows (``published_names`` of a segmentor). Auxiliary heads that the network lacks are left
    over.

    Args:
        model: The segmentor.
        path: Checkpoint file.
        network: Which one to take, a key of :data:`~mmseg.checkpoints.networks.NETWORKS`.
        new_classifier: Leave out the layers with one output per class, for fine-tuning with other classes;
            they keep the weights they have.

    Returns:
        The whole content of the file.

    Raises:
        CheckpointError: The file is missing or unreadable, or holds another network than ``model``.
    """
    checkpoint = read_checkpoint(path)
    networks = split_networks(state_dict_of(checkpoint, path))
    prefix = find_network(network, networks, path)
    report = compare(model, networks.pop(prefix))
    lacks_head = getattr(model, "auxiliary_head", None) is None
    unused = [name for name in report.unexpected if lacks_head and name.startswith(AUXILIARY)]
    report.unexpected = [name for name in report.unexpected if name not in unused]
    classifier = [
        name
        for name, (theirs, ours) in report.mismatched.items()
        if theirs.shape[1:] == ours.shape[1:] and len(ours) == getattr(model, "num_classes", None)
    ]
    if new_classifier:
        left_out = [
            f"{layer}.{name}" for layer, conv in class_layers(model).items() for name in conv.state_dict()
        ]
        print_log(f"{path}: new classifier, not loaded: {', '.join(left_out) or 'nothing'}", "current")
        for name in left_out:
            report.mismatched.pop(name, None)
            report.loaded.pop(name, None)
        report.missing = [name for name in report.missing if name not in left_out]
    if misfits := report.misfits():
        remedy = "Use the config that was stored with the checkpoint"
        if classifier and not report.missing and not report.unexpected:
            remedy = (
                "It has another number of classes: take its config to test it; to go on with other classes, "
                "leave the classifier out with --new-classifier"
            )
        raise CheckpointError(
            f"{path}: the checkpoint is of another network than the config: {misfits}. {remedy}"
        )
    model.load_state_dict(report.loaded, strict=False)
    missing = sorted(model.state_dict().keys() - report.loaded.keys())
    left_over = [
        f"{other}.* {len(entries)}" if other else f"other {_some(list(entries))}"
        for other, entries in networks.items()
    ] + ([f"unused heads {_some(unused)}"] if unused else [])
    print_log(
        f"{path}: loaded {len(report.loaded)} weights{f' of {prefix}.*' if prefix else ''}; "
        f"missing: {_some(missing)}; left over: {', '.join(left_over) or 'none'}",
        "current",
    )
    _compare_normalization(model, checkpoint, path)
    return checkpoint


def _compare_normalization(model: nn.Module, checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Warn where the file says that its weights expect other images than the network gives them."""
    trained = (checkpoint.get("meta") or {}).get("normalization")
    own = getattr(getattr(model, "data_preprocessor", None), "statistics", None)
    if trained and own and trained != own:
        print_log(
            f"{path}: was trained on images normalised with {trained}, this config normalises with {own}; "
            f"set model.data_preprocessor=dict(type='SegDataPreprocessor', mean={trained['mean']}, "
            f"std={trained['std']})",
            "current",
            level=logging.WARNING,
        )


def fit_classes(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    classes: Sequence[str],
    path: str | Path,
    remap: bool = False,
) -> None:
    """Compare the class names that a checkpoint holds with those of the data.

    Capitals, blanks, dashes and underscores do not matter. A name that only one of them has is warned of.

    Args:
        model: The segmentor that has its weights.
        checkpoint: What :func:`load_checkpoint` gave.
        classes: Those of the data.
        path: File of the checkpoint, for messages.
        remap: Give the network the order of the data, where theirs is another one.

    Raises:
        CheckpointError: A name has another number, and ``remap`` is not set or cannot be done.
    """
    found = tuple(dataset_meta(checkpoint.get("meta") or {}).get("classes") or ())
    if len(found) != len(classes) or found == tuple(classes):
        return  # nothing is known that could be compared
    theirs, ours = [_plain(name) for name in found], [_plain(name) for name in classes]
    places = {name: c for c, name in enumerate(theirs)}
    moved = [c for c, name in enumerate(ours) if places.get(name, c) != c]
    if not moved:
        differing = [
            f"class {c} is {found[c]!r} in the checkpoint and {classes[c]!r} in the data"
            for c in range(len(found))
            if theirs[c] != ours[c]
        ]
        if differing:
            message = f"{path}: {_few(differing)}; check that they mean the same"
            print_log(message, "current", level=logging.WARNING)
        return
    first = moved[0]
    difference = f"class {first} is {found[first]!r} in the checkpoint and {classes[first]!r} in the data"
    listing = f"list the classes (and ids) of the data sets in the order of the checkpoint: {list(found)}"
    if set(theirs) != set(ours):
        raise CheckpointError(
            f"{path}: has classes of the data under other numbers, and classes that they have not: "
            f"{difference}; {listing}, or leave the classifier out with --new-classifier to train a new one"
        )
    if not remap:
        raise CheckpointError(
            f"{path}: has the classes of the data in another order: {difference}; give the network the order "
            f"of the data with --remap-classes, or {listing}"
        )
    reorder_classes(model, [places[name] for name in ours])
    print_log(f"{path}: the network's classes have got the order of the data", "current")


def _plain(name: str) -> str:
    """The name of a class however it is written: ``Traffic light`` and ``traffic_light`` are one."""
    return re.sub(r"[\s_-]+", " ", name.strip().lower())


def class_layers(model: nn.Module) -> dict[str, nn.Conv2d]:
    """The layers that give one output per class, by their names: the convolutions at the end of every head.

    A head is a module with ``num_classes``. Its last layers are its own convolutions, also those in lists or
    in blocks of nothing else, as neither a norm nor an activation follows them.

    Args:
        model: A segmentor.
    """
    number = getattr(model, "num_classes", None)

    def ends(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Conv2d]]:
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                if child.out_channels == number:
                    yield prefix + name, child
            elif isinstance(child, nn.ModuleList) or _holds_one(child):
                yield from ends(child, f"{prefix}{name}.")

    layers: dict[str, nn.Conv2d] = {}
    for name, head in model.named_modules():
        if getattr(head, "num_classes", None) == number:
            layers.update(ends(head, f"{name}." if name else ""))
    return layers


def _holds_one(module: nn.Module) -> bool:
    return len([child for child in module.children() if not isinstance(child, nn.Identity)]) == 1


def reorder_classes(model: nn.Module, order: Sequence[int]) -> None:
    """Let a segmentor predict as class ``c`` what it has predicted as class ``order[c]``."""
    with torch.no_grad():
        for layer in class_layers(model).values():
            for parameter in layer.parameters(recurse=False):
                parameter.copy_(parameter[list(order)])


def dataset_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Classes and palette in ``meta`` of a checkpoint; empty where they are not named."""
    if found := meta.get("dataset_meta"):
        return dict(found)
    classes, palette = meta.get("CLASSES"), meta.get("PALETTE")
    if not classes:
        return {}
    return {"classes": tuple(classes)} | ({} if palette is None else {"palette": [list(c) for c in palette]})


def _some(names: list[str]) -> str:
    return f"{len(names)} ({_few(names)})" if names else "0"


def rename_entries(module: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Hook before loading: entries under a prefix get the names that the module's ``own_name`` gives them."""
    for name in [name for name in state if name.startswith(prefix)]:
        state[prefix + module.own_name(name.removeprefix(prefix))] = state.pop(name)


def compare(module: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Which entries of a state dict fit a network; the batch counters of norms are optional.

    Parts of a network that know other namings than their own have a method ``own_name``; those that give
    buffers their shape later, in training, name these in ``shaped_in_training``.
    """
    own, state = module.state_dict(), dict(state)
    any_shape = set()
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        if hasattr(part, "own_name"):
            rename_entries(part, state, prefix)
        any_shape |= {prefix + name for name in getattr(part, "shaped_in_training", ())}
    report = LoadReport(unexpected=[name for name in state if name not in own])
    for name, value in own.items():
        if name not in state:
            report.missing += [] if name.endswith(OPTIONAL) else [name]
        elif state[name].shape != value.shape and name not in any_shape:
            report.mismatched[name] = state[name], value
        else:
            report.loaded[name] = state[name]
    return report


def state_dict_of(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, without the prefix of data-parallel wrappers.

    Args:
        content: What :func:`read_checkpoint` gave.
        path: Its file, for messages.

    Raises:
        CheckpointError: There is no state dict.
    """
    nested = (content.get(key) for key in ("state_dict", "model"))
    state = {
        name.removeprefix("module."): value
        for name, value in next((inner for inner in nested if isinstance(inner, Mapping)), content).items()
        if isinstance(name, str) and isinstance(value, Tensor) and not name.endswith(EXTRA_STATE)
    }
    if not state:
        raise CheckpointError(
            f"{path}: found no tensors; expected a state dict, alone or under 'state_dict' or 'model'"
            + _dicts_in(content)
        )
    return state


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """All of a checkpoint file, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds types that checkpoints do not need.
    """
    path = require_file(path)
    try:
        if path.suffix == ".safetensors":
            state, meta = load_safetensors(path), meta_beside(path)
            return {"state_dict": state, "meta": meta} if meta else dict(state)
        with torch.serialization.safe_globals(_checkpoint_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # neither format has a common error type for damaged files
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds a {forbidden[1]}, which weights do not need" if forbidden else "it is damaged"
        raise CheckpointError(
            f"{path}: not a readable PyTorch checkpoint: {reason}; download or train it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: found a {type(content).__name__}; expected a dict of weights")
    return dict(content)


def _checkpoint_types() -> list[Any]:
    """What mmengine's logging history puts into checkpoints beside tensors and plain values."""
    functions: list[Any] = [np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]]
    number_types = {type(np.dtype(code)) for code in np.typecodes["All"]}
    both_numpy_names = [
        (function, f"numpy.{core}.multiarray.{function.__name__}")  # the module was renamed in numpy 2
        for core in ("core", "_core")
        for function in functions
    ]
    statistic = (_history_statistic, "builtins.getattr")
    return [HistoryBuffer, np.ndarray, np.dtype, _codecs.encode, statistic, *number_types, *both_numpy_names]


def _history_statistic(owner: object, name: str) -> Any:
    """Stands for ``getattr`` while a file is read: a history names its methods by it, nothing else may."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError("GLOBAL getattr of anything else")
    return getattr(HistoryBuffer, name)
