"""What MONAI's bundle specification asks to be said of a model."""

from collections.abc import Sequence
from importlib.metadata import version

import torch

from pipeline.bundle.bundle import Bundle


def monai_metadata(bundle: Bundle) -> dict[str, object]:
    """Return the fields that MONAI's bundle specification asks for."""
    size = list(bundle.protocol.grid.size[::-1])
    series = [one.name for one in bundle.protocol.series]
    channels = [
        task.name if task.kind == "binary" else f"{task.name}: {outcome}"
        for task in bundle.protocol.tasks for outcome in task.outcomes
    ]  # fmt: skip
    return {
        "version": version("synopt"),
        "changelog": {version("synopt"): "trained"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {name: version(name) for name in ("synopt", "transformers")},
        "task": bundle.protocol.title,
        "description": bundle.protocol.title,
        "authors": "Synopt",
        "copyright": "Apache-2.0",
        "intended_use": "Decision support for research; not a medical device.",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image", "format": "magnitude", "num_channels": len(series),
                    "spatial_shape": size, "dtype": "float32", "value_range": [-1, 1],
                    "is_patch_data": False, "channel_def": _numbered(series),
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities", "format": "classes",
                    "num_channels": len(channels), "spatial_shape": [],
                    "dtype": "float32", "value_range": [0, 1], "is_patch_data": False,
                    "channel_def": _numbered(channels),
                }
            },
        },
    }  # fmt: skip


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}
