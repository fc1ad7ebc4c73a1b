"""ImageNet weights of encoders on the Hugging Face hub, by their names in ``model.pretrained``."""

import re
from pathlib import Path

from mmseg.checkpoints.download import sha256_of
from mmseg.errors import CheckpointError

HUB_WEIGHTS = {f"mit_b{size}": (f"nvidia/mit-b{size}", "pytorch_model.bin") for size in range(6)}
"""Name of the encoder -> its repository on the hub and the file there."""
FOLDER = Path("pretrained")
"""Where files that were downloaded by hand are looked for, as ``pretrained/mit_b5.pth``."""
HASH = re.compile(r"[0-9a-f]{64}")


def hub_file(name: str) -> Path:
    """The weight file of a name: ``pretrained/NAME.pth``, else the hub's cache, else from the hub.

    Args:
        name: A key of :data:`HUB_WEIGHTS`.

    Raises:
        CheckpointError: The file is nowhere and the hub cannot be reached, or its hash is another.
    """
    own = FOLDER / f"{name}.pth"
    if own.is_file():
        return own
    from huggingface_hub import hf_hub_download

    repository, file = HUB_WEIGHTS[name]
    try:
        path = Path(hf_hub_download(repository, file))
    except Exception as error:  # of the hub's own, of the network, of the disk: there is no common one
        raise CheckpointError(
            f"{name}: {own} does not exist, and {file} of {repository} cannot be had from the Hugging Face "
            f"hub ({type(error).__name__}: {str(error).splitlines()[0]}); download "
            f"https://huggingface.co/{repository}/resolve/main/{file} elsewhere and save it as {own}, or set "
            "model.pretrained=None to train from scratch"
        ) from error
    expected = path.resolve().name  # the cache names large files by their hash
    if HASH.fullmatch(expected) and (found := sha256_of(path)) != expected:
        raise CheckpointError(
            f"{path}: SHA-256 {found}, the hub names {expected}; remove {path.resolve()} and start again"
        )
    return path
