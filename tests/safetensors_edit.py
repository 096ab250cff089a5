"""Takes safetensors files apart and puts them together again, sound or not: 8 bytes header length, JSON header, data."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Tensor:
    dtype: str
    shape: list
    data: bytes


def split(path):
    """Header (parsed) and data section."""
    content = Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def join(path, header, data):
    """Writes a header, parsed or as text, and a data section as they are."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def load(path):
    """Metadata and tensors."""
    header, data = split(path)
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = Tensor(entry["dtype"], entry["shape"], data[begin:end])
    return metadata, tensors


def save(path, metadata, tensors):
    """Writes a sound file of these."""
    header = {"__metadata__": metadata}
    data = b""
    for name, tensor in tensors.items():
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [len(data), len(data) + len(tensor.data)]}
        data += tensor.data
    join(path, header, data)


def change_metadata(path, key, **fields):
    """Replaces fields of one JSON object in the metadata."""
    metadata, tensors = load(path)
    metadata[key] = json.dumps(json.loads(metadata[key]) | fields)
    save(path, metadata, tensors)
