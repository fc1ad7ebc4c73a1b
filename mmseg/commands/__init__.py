"""The command ``mmseg-uda`` and what it can do; each sub-command is a module with a function ``main``."""

import sys
from importlib import import_module

COMMANDS = {
    "train": ("train", "train a config"),
    "test": ("test", "test a checkpoint"),
    "predict": ("predict", "segment your own images"),
    "export": ("export", "write a network as ONNX or PyTorch program"),
    "publish": ("publish_model", "make a network fit to be passed on"),
    "run": ("run", "start the runs of an experiment of the papers"),
    "results": ("results", "show what finished runs reached, over their seeds"),
    "toy": ("make_toy_dataset", "draw toy street scenes"),
    "convert": ("convert", "convert the labels of a published data set"),
    "describe": ("describe_dataset", "write a data set config for a folder"),
    "verify": ("verify_dataset", "check the data of a config"),
    "label": ("label_target", "label images with a trained network"),
    "prior": ("make_spatial_prior", "count where in the image classes lie, for CBST"),
    "prepare": ("prepare_data", "decode and resize the training data once"),
    "adapt": ("adapt_appearance", "make images of one folder look like those of another"),
    "translate": ("translate", "write the images of a source in the look of the target"),
    "configs": ("configs", "copy the configs that come with the package"),
}
"""Sub-command -> its module, imported when it is asked for, and what it does."""


def main() -> int:
    """Run the sub-command that the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        sys.argv = [f"mmseg-uda {name}", *sys.argv[2:]]
        return import_module(f"{__name__}.{COMMANDS[name][0]}").main()
    lines = [f"  {command:<14}{what}" for command, (_, what) in COMMANDS.items()]
    usage = "\n".join(["usage: mmseg-uda COMMAND ...", "", *lines, "", "Options: mmseg-uda COMMAND --help"])
    if name in ("-h", "--help"):
        print(usage)
        return 0
    print(f"{usage}\nmmseg-uda: error: there is no command {name!r}", file=sys.stderr)
    return 2
