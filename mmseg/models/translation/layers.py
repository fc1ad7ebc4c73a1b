"""What the generators and discriminators of CycleGAN have in common: norms, activations, initial weights."""

from torch import nn

from mmseg.errors import ConfigError

NORMS: dict[str, type[nn.Module]] = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
"""Instance norm is without scale, shift and running statistics: it does the same in training and test."""


def norm_layer(norm: str) -> type[nn.Module]:
    """The norm of that name.

    Raises:
        ConfigError: There is none.
    """
    if norm not in NORMS:
        raise ConfigError(f"norm={norm!r} is unknown; expected one of {', '.join(NORMS)}")
    return NORMS[norm]


def initialise(module: nn.Module) -> None:
    """Initial values of one layer: weights N(0, 0.02), scales of norms N(1, 0.02), everything else 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
