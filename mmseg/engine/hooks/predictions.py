"""What happens with predictions: pictures, one archive, files for evaluation servers."""

import logging
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmseg.checkpoints.atomic import replacing
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.server_formats import (
    check_submission,
    refuse_other_files,
    server_format,
    submission_names,
    write_submission_png,
    zip_submission,
)
from mmseg.registry import HOOKS
from mmseg.visualization.palette_image import blend, save_grey_png, save_palette_png, save_picture


def label_of(output: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """The predicted train ids (H, W) of an image, on the host."""
    return output["pred"].byte().cpu().numpy()


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Write each test prediction as a PNG at the image's original size.

    Files keep their path relative to the data set's image folder. Where the network gives its attention
    instead of a prediction, that is written as a grey picture, 255 for an attention of 1.

    Args:
        out_dir: Folder to write to.
        opacity: 1 writes an indexed PNG of train ids with the palette; less blends the colours with the
            image.
    """

    def __init__(self, out_dir: str, opacity: float = 1.0) -> None:
        self.out_dir = Path(out_dir)
        self.opacity = opacity

    def before_test(self, runner) -> None:
        self._failures: list[OSError] = []

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        dataset = runner.test_dataloader.dataset
        for output in outputs or []:
            source = Path(output["img_path"])
            path = (self.out_dir / source.relative_to(dataset.img_dir)).with_suffix(".png")
            try:
                self._write(path, output, dataset)
            except OSError as error:  # the other predictions and the scores are still wanted
                print_log(f"{path}: cannot be written ({error.strerror})", "current", logging.ERROR)
                self._failures.append(error)

    def _write(self, path: Path, output: dict[str, Any], dataset: SegmentationDataset) -> None:
        palette = dataset.metainfo["palette"]
        if "attention" in output:
            save_grey_png(path, output["attention"].cpu().numpy())
        elif self.opacity >= 1:
            save_palette_png(path, label_of(output), palette)
        else:
            image = LoadImage.of(dataset.transforms).read(output["img_path"])
            save_picture(path, blend(image, label_of(output), palette, self.opacity))

    def after_test(self, runner) -> None:
        if self._failures:
            raise DataError(
                f"{self.out_dir}: {len(self._failures)} predictions could not be written "
                f"({self._failures[0].strerror}), each is named above; make room or choose another folder"
            )


@HOOKS.register_module()
class PredictionArchiveHook(Hook):
    """Write all test predictions into one ``.npz`` file, image by image.

    An array (H, W) uint8 of train ids is named by the path of its image below the image folder, without
    suffix. The file appears when it is complete.

    Args:
        path: File to write.

    Raises:
        ConfigError: Several processes predict; a file has one writer.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def before_test(self, runner) -> None:
        if get_world_size() > 1:
            raise ConfigError(f"--out {self.path}: written by one process only; use --show-dir with several")
        self._failure: OSError | None = None
        self._writing = ExitStack()
        try:
            temporary = self._writing.enter_context(replacing(self.path))
            self._archive = self._writing.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED))
        except OSError as error:
            raise ConfigError(f"--out {self.path}: cannot be written ({error.strerror})") from error

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        img_dir = runner.test_dataloader.dataset.img_dir
        for output in outputs or []:
            name = Path(output["img_path"]).relative_to(img_dir).with_suffix(".npy").as_posix()
            if self._failure is None:
                try:
                    with self._archive.open(name, "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, label_of(output), allow_pickle=False)
                except OSError as error:  # the scores are still wanted
                    self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Leave no file behind that is not complete."""
        self._failure = error
        with suppress(OSError, ValueError):  # what could not be written cannot be completed either
            self._writing.__exit__(type(error), error, None)
        print_log(f"{self.path}: cannot be written ({error.strerror})", "current", logging.ERROR)

    def after_test(self, runner) -> None:
        if self._failure is None:
            try:
                self._writing.close()
            except OSError as error:
                self._give_up(error)
        if self._failure is not None:
            raise DataError(
                f"--out {self.path}: cannot be written ({self._failure.strerror}); make room or choose "
                "another file"
            )
        print_log(f"Predictions: {self.path}", "current")


@HOOKS.register_module()
class SubmissionHook(Hook):
    """Write predictions for an evaluation server, check every file and pack them into ``OUT_DIR.zip``.

    Args:
        out_dir: Folder of the PNG files; it may hold nothing else.
        format: See :data:`~mmseg.evaluation.server_formats.SERVER_FORMATS`.

    Raises:
        ConfigError: Format and classes do not fit, or there are other files in the folder.
        DataError: Images share a name, or a written file is not as it should be.
    """

    def __init__(self, out_dir: str, format: str) -> None:
        self.out_dir = Path(out_dir)
        self.format = format

    def before_test(self, runner) -> None:
        dataset = runner.test_dataloader.dataset
        self._server = server_format(self.format, dataset.classes)
        self._loader = LoadImage.of(dataset.transforms)
        self._images = [sample.img_path for sample in dataset.samples]
        refuse_other_files(self.out_dir, submission_names(self._images))
        self.out_dir.mkdir(parents=True, exist_ok=True)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for output in outputs or []:
            (name,) = submission_names([output["img_path"]])
            path = self.out_dir / name
            try:
                write_submission_png(path, label_of(output), self._server)
            except OSError as error:  # the check after the last image names the missing ones
                print_log(f"{path}: cannot be written ({error.strerror})", "current", logging.ERROR)

    def after_test_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        barrier()  # until the files of all processes are there
        if not is_main_process():
            return
        unexpected = check_submission(self.out_dir, self._images, self._server, self._loader)
        if unexpected:
            width, height = self._server.image_size or (0, 0)
            print_log(
                f"{unexpected} of {len(self._images)} images are not of {width}x{height} pixels, which the "
                f"{self.format} server expects",
                "current",
                level=logging.WARNING,
            )
        archive = zip_submission(self.out_dir, self._images, self._server)
        print_log(f"{len(self._images)} files for the server, all checked: {archive}", "current")
