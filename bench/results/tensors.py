"""Tensors in a safetensors file that holds a checksum of them, so that a flipped bit is not taken for a weight."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bench.results.disk import replace_whole
from bench.results.plain import read_file

CHECKSUM = "sha256"


def write_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, str] | None = None) -> None:
    """Write a file whole, or not at all; its folder is made if need be."""
    whole = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    _, values = _parts(save(whole))
    notes = notes or {}
    content = save(whole, metadata=notes | {CHECKSUM: _checksum(values, notes)})
    replace_whole(path, content, path.parent.parent)


def read_tensors(path: Path) -> tuple[dict[str, Tensor] | None, dict[str, str]]:
    """The tensors of such a file, on the CPU, and its notes; None if damaged. Files without checksum are accepted."""
    file = read_file(path, path.parent.parent)
    try:
        tensors: dict[str, Tensor] = load(file)
    except SafetensorError:
        return None, {}
    header, values = _parts(file)
    notes: dict[str, str] = json.loads(header).get("__metadata__", {})
    stated = notes.pop(CHECKSUM, None)
    return (tensors if stated in (None, _checksum(values, notes)) else None), notes


def _checksum(values: bytes, notes: dict[str, str]) -> str:
    """Hash of all bytes behind the header, and of the notes."""
    digest = hashlib.sha256(values)
    if notes:
        digest.update(json.dumps(notes, sort_keys=True).encode())
    return digest.hexdigest()


def _parts(file: bytes) -> tuple[bytes, bytes]:
    """A safetensors file's header, which is JSON, and its values."""
    end = 8 + int.from_bytes(file[:8], "little")
    return file[8:end], file[end:]
