"""Every encoder of timm: dilated ResNets, ResNeSt, Swin, Twins, ConvNeXt, plain vision transformers, …

timm is imported when the first such encoder is built, since that takes more than a second.
"""

import difflib
import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.checkpoints.weights import rename_entries
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.backbones import weight_names
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS

NETWORK = "network."
ANY_IMAGE_SIZE = dict(dynamic_img_size=True, strict_img_size=False)
"""Options of timm's transformers, given where a network has them: take images of any size."""


@MODELS.register_module()
class TimmBackbone(nn.Module):
    """A network of timm as encoder: image to a list of feature maps.

    Pyramids give their last four levels, so a CNN its four stages without the stem. Plain vision transformers
    (DINOv2, DINOv3, …) give four maps of one stride, from blocks at a quarter, half, three quarters and the
    end of their depth; :class:`~mmseg.models.necks.ViTPyramid` makes a pyramid of them.

    A transformer's image is enlarged bilinearly to the next multiple of the patch size: its features then
    cover the image exactly, which padding would not achieve. Positional embeddings are resampled to it.

    Residual networks with ``output_stride=8`` are the published ones: the first block of a dilated stage has
    half its dilation, and shortcuts without stride do not average (timm's would). Norms are trained.

    Args:
        name: timm's name of the network, e.g. ``resnet101c`` for ResNet-101 V1c.
        out_indices: Levels to return, counted as timm does (of a CNN the stem is 0).
        options: Of ``timm.create_model``, e.g. ``output_stride``, ``drop_path_rate``, ``img_size``.

    Attributes:
        channels: Channels of the returned levels.
        strides: Their strides in pixels.

    Raises:
        ConfigError: timm has no network of this name, it gives no feature maps or not these levels, or it
            does not know an option.
    """

    def __init__(self, name: str, out_indices: Sequence[int] | None = None, **options: Any) -> None:
        super().__init__()
        _require_name(name)
        if reserved := {"pretrained", "features_only"} & options.keys():
            raise ConfigError(
                f"TimmBackbone: {', '.join(sorted(reserved))} is no option of the backbone; name weights as "
                "model.pretrained, 'timm' for those that timm fetches"
            )
        self.name = name
        outline = _outline(name, options)
        accepted = inspect.signature(type(outline)).parameters
        self.options = {key: value for key, value in ANY_IMAGE_SIZE.items() if key in accepted} | options
        levels = _levels(outline, name)
        self.options["out_indices"] = _chosen(levels, out_indices, name)
        self.network = _create(name, self.options | dict(features_only=True))
        chosen: Any = self.network.feature_info
        self.channels: tuple[int, ...] = tuple(chosen.channels())
        self.strides: tuple[int, ...] = tuple(chosen.reduction())
        self.image_multiple = levels[0]["reduction"] if "img_size" in accepted else 1
        self.channels_last = getattr(self.network, "output_fmt", None) == "NHWC"
        if type(outline).__name__ == "ResNet":
            _drop_dilated_averages(self.network)
        self._own_names = frozenset(self.state_dict())
        self.register_load_state_dict_pre_hook(rename_entries)

    def extra_repr(self) -> str:
        return f"{self.name}, channels={self.channels}, strides={self.strides}"

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Maps (B, C_i, h_i, w_i) of :attr:`channels` and :attr:`strides`.
        """
        size = [-(-length // self.image_multiple) * self.image_multiple for length in image.shape[2:]]
        features = self.network(resize(image, size))
        return [level.permute(0, 3, 1, 2) for level in features] if self.channels_last else list(features)

    # -------------------------------------------------------------------- weights

    def own_name(self, name: str) -> str:
        """Name in this module of an entry that timm, OpenMMLab or this module names ``name``.

        Names of none of them are returned as they are.
        """
        flattened = name.replace(".", "_", 1)  # timm's pyramids hold ``layers.0`` as ``layers_0``
        for other in (name, weight_names.openmmlab_to_timm(name), f"model.{name}", f"body.{name}", flattened):
            for candidate in (other, NETWORK + other):
                if candidate in self._own_names:
                    return candidate
        return name

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a whole classifier as entries of this module.

        Layers behind the last level are left out. What is not timm's naming, and positional embeddings of
        another image size, go through timm's own conversion of original weights.

        Args:
            state: By names of timm, of OpenMMLab, or of the authors of the network.
        """
        own = self.state_dict()
        outline = _outline(self.name, {k: v for k, v in self.options.items() if k != "out_indices"})
        renamed = self._renamed(state)
        if not all(name in renamed and renamed[name].shape == value.shape for name, value in own.items()):
            convert = getattr(sys.modules[type(outline).__module__], "checkpoint_filter_fn", None)
            with suppress(Exception):  # of weights of another network; the caller says what does not fit
                renamed = self._renamed(convert(dict(state), outline)) if convert else renamed
        behind = set(outline.state_dict()) - own.keys()
        return {name: value for name, value in renamed.items() if name not in behind}

    def _renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = weight_names.efficientnet_pytorch_to_timm(state)
        return {self.own_name(name): value for name, value in state.items()}

    @staticmethod
    def statistics_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation of red, green and blue (0…255) that timm's weights of a network were
        trained with; None where timm has no weights."""
        import timm

        known = timm.models.get_pretrained_cfg(name) if isinstance(name, str) else None
        if known is None or not known.has_weights:
            return None
        mean, std = (tuple(round(255 * value, 4) for value in part) for part in (known.mean, known.std))
        return mean, std

    def download_weights(self) -> None:
        """Load the weights that timm names for this network; they come from its hub or the local cache.

        Raises:
            CheckpointError: timm names none, or they cannot be fetched.
        """
        import timm

        if not timm.models.is_model_pretrained(self.name):
            raise CheckpointError(
                f"pretrained='timm': timm has no weights for {self.name}; name one of "
                f"{timm.list_pretrained(self.name.split('.')[0] + '*')[:5]} as backbone.name, or a file"
            )
        try:
            network = timm.create_model(self.name, pretrained=True, **self.options, features_only=True)
        except Exception as error:  # of the hub's client and of several network libraries
            raise CheckpointError(
                f"pretrained='timm': the weights of {self.name} cannot be fetched: {error}; on a machine "
                "without network copy the file there and name it as model.pretrained"
            ) from error
        self.network.load_state_dict(network.state_dict())


def todays_name(name: str) -> str:
    """Name of an entry of a checkpoint, of a residual backbone as :class:`TimmBackbone` names its layers."""
    before, backbone, layer = name.rpartition("backbone.")
    if not backbone or not layer.startswith(("stem.", "conv1.", "bn1.", "layer")):
        return name
    return f"{before}{backbone}{NETWORK}{weight_names.openmmlab_to_timm(layer)}"


def _require_name(name: str) -> None:
    import timm

    if timm.is_model(name):
        return
    close = difflib.get_close_matches(name, timm.list_models() + timm.list_models(pretrained=True), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models('*vit*') lists names"
    raise ConfigError(f"TimmBackbone: timm {timm.__version__} has no network {name!r}; {hint}")


def _outline(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The whole classifier without memory for its weights."""
    with torch.device("meta"):
        return _create(name, options)


def _create(name: str, options: Mapping[str, Any]) -> nn.Module:
    import timm

    try:
        return timm.create_model(name, **options)
    except Exception as error:  # timm has no common error type
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ConfigError(
            f"TimmBackbone: timm cannot build {name!r} with {given or 'its defaults'}: "
            f"{type(error).__name__}: {error}; change these options of the backbone"
        ) from error


def _levels(outline: nn.Module, name: str) -> list[dict[str, Any]]:
    levels = getattr(outline, "feature_info", None)
    if not levels:
        raise ConfigError(
            f"TimmBackbone: timm's {name!r} gives no feature maps; choose a network that has a feature_info"
        )
    return list(levels if isinstance(levels, list) else levels.info)


def _chosen(
    levels: Sequence[Mapping[str, Any]], out_indices: Sequence[int] | None, name: str
) -> tuple[int, ...]:
    """The levels to return, counted from 0."""
    number = len(levels)
    if out_indices is not None:
        if not all(isinstance(index, int) and -number <= index < number for index in out_indices):
            found = ", ".join(
                f"{i}: {v['num_chs']} channels, stride {v['reduction']}" for i, v in enumerate(levels)
            )
            raise ConfigError(f"TimmBackbone: out_indices={out_indices}; levels of {name!r} are {found}")
        return tuple(index % number for index in out_indices)
    if number > 4 and len({level["reduction"] for level in levels}) == 1:
        return tuple(number * quarter // 4 - 1 for quarter in range(1, 5))
    return tuple(range(max(number - 4, 0), number))


def _drop_dilated_averages(network: nn.Module) -> None:
    """Where dilation replaces the stride, timm's shortcut of V1d still averages; the published does not."""
    from timm.layers import AvgPool2dSame

    for part in network.modules():
        if isinstance(part, nn.Sequential) and len(part) and isinstance(part[0], AvgPool2dSame):
            part[0] = nn.Identity()
