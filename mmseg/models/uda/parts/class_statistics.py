"""What the label files of a data set hold of each class."""

import json
from pathlib import Path

from mmseg.errors import ConfigError


def pixels_of_classes(path: str, num_classes: int) -> list[list[float]]:
    """Pixels of each class in each label file, as ``sample_class_stats.json`` counts them.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        samples = json.loads(Path(path).read_text(encoding="utf-8"))
        return [[float(sample.get(str(c), 0)) for c in range(num_classes)] for sample in samples]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as class statistics of the source ({error}); write them with python "
            "tools/verify_dataset.py CONFIG --write-statistics"
        ) from error
