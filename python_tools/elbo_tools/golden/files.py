"""Writes the golden files, and lists the cases and points that they contain."""

import json
from pathlib import Path

import numpy as np
import torch

from elbo_tools.golden import conv_cases, layers, points, training

CASES = (*training.CASES, *conv_cases.CASES)
POINTS = (points.likelihood_points, points.activation_points, points.posterior_points)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]):
    """Writes a file in the safetensors format, with bytes that depend only on the content.

    The official writer orders the metadata differently in every run, but these files are under
    version control. tensors are float32 or float64.
    """
    dtypes = {"float64": "F64", "float32": "F32"}
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name, tensor in ordered:
        header[name] = {
            "dtype": dtypes[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": (offset, offset + tensor.nbytes),
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(
        tensor.astype(tensor.dtype.newbyteorder("<")).tobytes() for _, tensor in ordered
    )
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_golden(folder: Path):
    """Writes every golden file into the folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # makes the order of summation deterministic
    try:
        for case in CASES:
            tensors, metadata = training.run_case(case), case.metadata()
            write_safetensors(folder / f"{case.name}.safetensors", tensors, metadata)
        for table in POINTS:
            write_safetensors(folder / f"{table.__name__}.safetensors", table(), {})
        for kind in layers.KINDS:
            write_safetensors(folder / f"{kind}_layer.safetensors", *layers.run_cases(kind))
    finally:
        torch.set_num_threads(threads)
