"""From files to arrays, with an explanation for every file that cannot be used."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

try:  # comes with kornia
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # not needed, only faster
    decode_image_png_u8 = None


_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_JPEG_SIGNATURE, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_TAIL = 4096  # some cameras append data behind the end marker
_PNG_ORIENTATION = b"eXIf"  # a camera's note of how it was held, which OpenCV follows
_LARGEST_PNG = 2**28  # pixels; the header of a damaged file may claim any number
_PNG_GREY, _PNG_RGB, _PNG_PALETTE = 0, 2, 3  # colour types


def _read_bytes(path: str) -> bytes:
    """Content of an image file that is complete as far as its end marker tells.

    Decoders fill the missing part of a truncated file with grey and only warn, so the marker is looked at
    first.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the file") from error
    for signature, end in ((_PNG_SIGNATURE, _PNG_END), (_JPEG_SIGNATURE, _JPEG_END)):
        if content.startswith(signature) and end not in content[-_TAIL:]:
            raise DataError(
                f"{path}: the file is truncated ({len(content)} bytes without end marker); copy it again"
            )
    return content


def _decode_png(content: bytes, colour_types: tuple[int, ...], mode: str) -> np.ndarray | None:
    """Decode a plain 8-bit PNG, exactly as libpng does and in half the time.

    Args:
        content: The file.
        colour_types: Only files of these types are decoded.
        mode: ``rgb``, or ``mono`` for grey values and palette indices.

    Returns:
        (H, W, channels) uint8. None for any other file, and for a damaged one: the decoders that know more
        formats read it, or say that it cannot be read.
    """
    if decode_image_png_u8 is None or not content.startswith(_PNG_SIGNATURE) or len(content) < 26:
        return None
    width, height, depth, colour_type = struct.unpack_from(">IIBB", content, 16)
    is_plain = depth == 8 and colour_type in colour_types and _PNG_ORIENTATION not in content
    if not is_plain or width * height > _LARGEST_PNG:
        return None
    try:
        return decode_image_png_u8(content, (height, width), mode)
    except Exception:  # kornia_rs knows no other class
        return None


def read_image(path: str) -> np.ndarray:
    """Decode an image file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: The file is missing, truncated or no image.
    """
    content = _read_bytes(path)
    image = _decode_png(content, (_PNG_RGB,), "rgb")
    if image is not None:
        return image
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise DataError(f"{path}: not a readable image (expected PNG or JPEG); copy or download it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_label(path: str) -> np.ndarray:
    """Decode a label file: a grey or palette PNG, whose palette indices are the labels.

    Returns:
        (H, W) uint8 or, for 16-bit files, a wider integer type.

    Raises:
        DataError: The file is missing, truncated, no image, or has several channels.
    """
    content = _read_bytes(path)
    indices = _decode_png(content, (_PNG_GREY, _PNG_PALETTE), "mono")
    if indices is not None:
        return indices[..., 0]
    try:
        with Image.open(io.BytesIO(content)) as file:
            label = np.array(file)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's errors for damaged files
        raise DataError(f"{path}: not a readable label image ({error}); convert it again") from error
    if label.ndim != 2:
        raise DataError(
            f"{path}: the label has {label.shape[-1]} channels, expected one (grey or palette); convert it "
            "to class ids"
        )
    return label.astype(np.uint8) if label.dtype == bool else label


@TRANSFORMS.register_module()
class LoadImage(Transform):
    """Read ``img_path`` and set ``img``, the shapes and, with ``pseudo_margins``, ``valid_pseudo_mask``."""

    def __call__(self, results: Results) -> Results:
        image = read_image(results["img_path"])
        shape = image.shape[:2]
        results.update(img=image, ori_shape=shape, img_shape=shape, scale_factor=(1.0, 1.0), flip=False)
        if results.get("pseudo_margins") is not None:
            results["valid_pseudo_mask"] = results["pseudo_margins"].mask(*shape)
        return results


@TRANSFORMS.register_module()
class LoadLabel(Transform):
    """Read ``seg_map_path`` and set ``gt_semantic_seg``; a sample without label passes unchanged.

    Before :class:`Resize` the label is resized with the image, as training needs it; behind it the label
    keeps the size of its file, as evaluation needs it.

    Raises:
        DataError: The label is unreadable, has another size than its image, or holds a value that is no
            class.
    """

    def __call__(self, results: Results) -> Results:
        path = results["seg_map_path"]
        if path is None:
            return results
        label = read_label(path)
        if label.shape != tuple(results["ori_shape"]):
            (label_height, label_width), (height, width) = label.shape, results["ori_shape"]
            raise DataError(
                f"{path}: the label is {label_width}x{label_height} pixels, its image {results['img_path']} "
                f"is {width}x{height}; copy or convert them again, or name all other pairs in a file, the "
                "split of the data set (tools/verify_dataset.py finds all such pairs)"
            )
        if results.get("id_lookup") is not None:
            label = _map_ids(label, results["id_lookup"], path)
        self._check_values(label, results["num_classes"], path)
        results["gt_semantic_seg"] = label.astype(np.uint8, copy=False)
        return results

    @staticmethod
    def _check_values(label: np.ndarray, num_classes: int, path: str) -> None:
        if label.dtype == np.uint8 and (label + np.uint8(1)).max() <= num_classes:
            return  # 255 + 1 is 0: the common case in one pass
        outside = ((label >= num_classes) | (label < 0)) & (label != IGNORE_INDEX)
        if outside.any():
            values = ", ".join(map(str, np.unique(label[outside])[:10].tolist()))
            raise DataError(
                f"{path}: label values {values} found, expected 0 to {num_classes - 1} or {IGNORE_INDEX}; "
                "convert the labels to train ids or set id_map and classes of the data set"
            )


def _map_ids(label: np.ndarray, lookup: np.ndarray, path: str) -> np.ndarray:
    """Look up the train id of every raw id; ids beyond the table are ignored like unlisted ones."""
    if label.min() < 0:
        raise DataError(f"{path}: negative label value {label.min()}; raw ids have to be 0 or larger")
    if label.dtype != np.uint8:
        label = np.minimum(label, len(lookup) - 1)  # the last entry is 255
    return lookup[label]
