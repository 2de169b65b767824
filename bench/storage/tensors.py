"""Tensors in a safetensors file that holds a checksum of them, so that a flipped bit is not taken for a weight."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bench.storage.disk import replace_whole
from bench.storage.plain import read_file

CHECKSUM = "sha256"  # of all bytes behind the header


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a file whole, or not at all.

    Args:
        path: In a folder that is no link, made if need be.
        tensors: By name.

    Raises:
        OSError: The disk does not take it.
    """
    whole = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    _, values = _parts(save(whole))
    content = save(whole, metadata={CHECKSUM: hashlib.sha256(values).hexdigest()})
    replace_whole(path, content, path.parent.parent)


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of such a file, on the CPU; None where it is damaged. One that states no checksum is believed.

    Raises:
        OSError: It cannot be read.
    """
    file = read_file(path, path.parent.parent)
    try:
        tensors: dict[str, Tensor] = load(file)
    except SafetensorError:
        return None
    header, values = _parts(file)
    stated = json.loads(header).get("__metadata__", {}).get(CHECKSUM)
    return tensors if stated in (None, hashlib.sha256(values).hexdigest()) else None


def _parts(file: bytes) -> tuple[bytes, bytes]:
    """A safetensors file's header, which is JSON, and its values."""
    end = 8 + int.from_bytes(file[:8], "little")
    return file[8:end], file[end:]
