"""Weights of losses on the outputs of a segmentor: the decode head's and those of auxiliary heads."""

from collections.abc import Mapping, Sequence

from mmseg.errors import ConfigError

PUBLISHED_WEIGHTS = {"main": 0.001, "aux": 0.0002}  # Tsai et al. 2018 (multi-level), Vu et al. 2019


def output_weights(option: str, weights: Mapping[str, float], outputs: Sequence[str]) -> dict[str, float]:
    """The weight of a loss for each output of a segmentor.

    Args:
        option: Name in the config, for messages.
        weights: Of ``main`` and ``aux``; the latter is that of every auxiliary output.
        outputs: See :attr:`EncoderDecoder.output_names`.

    Raises:
        ConfigError: A weight is missing, unknown, or no number from 0 on.
    """
    if not isinstance(weights, Mapping):
        raise ConfigError(f"uda: {option}={weights!r}; expected weights by output, e.g. {PUBLISHED_WEIGHTS}")
    keys = {name: name.split("_")[0] for name in outputs}  # aux, or aux_0, aux_1, …
    numbers = all(isinstance(value, int | float) and value >= 0 for value in weights.values())
    if not set(keys.values()) <= set(weights) <= {"main", "aux"} or not numbers:
        raise ConfigError(
            f"uda: {option}={dict(weights)}; expected a number from 0 on for each of "
            f"{', '.join(dict.fromkeys(keys.values()))}, e.g. {PUBLISHED_WEIGHTS}"
        )
    return {name: float(weights[key]) for name, key in keys.items()}
