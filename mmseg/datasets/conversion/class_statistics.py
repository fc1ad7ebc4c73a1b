"""The class statistics of a data set, which rare class sampling reads (DAFormer, section 3.3)."""

import json
from collections.abc import Iterable
from pathlib import Path

from mmseg.checkpoints.atomic import write_text
from mmseg.datasets.conversion.label_conversion import ConvertedLabel
from mmseg.datasets.sampling.rare_class_sampling import CLASS_INDEX_FILE, STATISTICS_FILE


def write_class_statistics(out_dir: str | Path, labels: Iterable[ConvertedLabel]) -> None:
    """Write the three statistics files of a data set into ``out_dir``.

    - ``sample_class_stats.json``: ``[{"<class>": pixels, ..., "file": path}, ...]``
    - ``sample_class_stats_dict.json``: ``{path: {"<class>": pixels, ...}, ...}``
    - ``samples_with_class.json``: ``{"<class>": [[path, pixels], ...], ...}``

    Classes without a pixel are absent; files keep the order of ``labels``.
    """
    pixels_of_file = {label.path: {str(c): n for c, n in label.pixels.items()} for label in labels}
    files_of_class: dict[str, list[tuple[str, int]]] = {}
    for path, pixels in pixels_of_file.items():
        for name, count in pixels.items():
            files_of_class.setdefault(name, []).append((path, count))

    samples = [{**pixels, "file": path} for path, pixels in pixels_of_file.items()]
    for name, content in (
        (STATISTICS_FILE, samples),
        ("sample_class_stats_dict.json", pixels_of_file),
        (CLASS_INDEX_FILE, files_of_class),
    ):
        write_text(Path(out_dir, name), json.dumps(content, indent=2))
