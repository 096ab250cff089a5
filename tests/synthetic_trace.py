"""Traces of states that no model computed: for what looks at states alone."""

import json

import numpy as np

import safetensors_edit

N_PROMPT = 3


def gaussian_bf16(n_rows, width, seed):
    """Gaussian states as their bf16 bits, one row a position."""
    return bf16(np.random.default_rng(seed).standard_normal((n_rows, width)))


def bf16(values):
    """Bits of `values` rounded to bf16 (to nearest even)."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write(path, rows, states="bf16", point="final", positions=None):
    """Writes rows (a matrix of 16-bit or float32 elements) as the states of the generated tokens at one capture point."""
    n_rows, width = rows.shape
    n_tokens = N_PROMPT + n_rows
    if positions is None:
        positions = range(N_PROMPT, n_tokens)
    metadata = {
        "format": "verillm-trace",
        "format_version": "2",
        "model": json.dumps(
            {"name": "none", "digest": "0" * 64, "architecture": "llama", "weight_type": "f16", "n_layer": 1, "width": width,
             "n_vocab": 10, "vocabulary_digest": "0" * 64}
        ),
        "device": json.dumps({"name": "cpu", "backend": "CPU", "description": "none", "features": [], "engine": "none", "memory_total": 0}),
        "schedule": json.dumps(
            {"context": n_tokens, "chunk": 512, "threads": 1, "flash_attention": "auto", "cache": "f16", "sequences": 1, "shared_prefix": 0}
        ),
        "sampling": json.dumps({"temperature": 0.0, "top_p": 1.0, "seed": 1, "ignore_end": False}),
        "plan": json.dumps({"points": [point], "states": states}),
        "n_prompt": str(N_PROMPT),
        "n_overflow": "0",
    }
    positions = np.asarray(list(positions), dtype="<i4")
    dtype = {"bf16": "BF16", "f16": "F16", "f32": "F32"}[states]
    tensors = {
        "tokens": safetensors_edit.Tensor("I32", [n_tokens], np.ones(n_tokens, dtype="<i4").tobytes()),
        "positions": safetensors_edit.Tensor("I32", [len(positions)], positions.tobytes()),
        f"hidden_states.{point}": safetensors_edit.Tensor(dtype, [len(positions), width], rows[: len(positions)].tobytes()),
    }
    safetensors_edit.save(path, metadata, tensors)
    return path
