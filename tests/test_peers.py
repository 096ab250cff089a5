"""Proofs exchanged with the Python package `toploc` itself, in both directions."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import synthetic_trace
from conftest import REJECTED

SCRIPT = Path(__file__).with_name("toploc_package.py")


pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13) and importlib.util.find_spec("toploc") is None, reason="there is no toploc for Python 3.13 and later"
)


@pytest.fixture
def package():
    def call(*arguments):
        done = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return call


def heavy_tailed(n_rows, width, seed):
    """States with a few large channels, as real ones have."""
    random = np.random.default_rng(seed)
    channels = random.choice([1.0, 2.0, 8.0, 32.0], size=width, p=[0.875, 0.11, 0.013, 0.002])
    return synthetic_trace.bf16(random.standard_normal((n_rows, width)) * channels)


# Widths of real models; the last chunk is short, and for 896 it is so small that torch selects by another algorithm.
CASES = {
    "gaussian-2048": (synthetic_trace.gaussian_bf16(75, 2048, 1), 32, 128),
    "gaussian-896": (synthetic_trace.gaussian_bf16(33, 896, 2), 32, 128),
    "gaussian-5120": (synthetic_trace.gaussian_bf16(200, 5120, 3), 32, 128),
    "heavy-3584": (heavy_tailed(70, 3584, 4), 32, 128),
    "heavy-1536-top-8": (heavy_tailed(24, 1536, 5), 8, 8),
    "coarse": (synthetic_trace.bf16(np.random.default_rng(6).integers(-20, 21, (40, 512)) / 4), 16, 64),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    states, batching, topk = CASES[request.param]
    np.save(tmp_path / "states.npy", states)
    return states, batching, topk, synthetic_trace.write(tmp_path / "states.safetensors", states), tmp_path / "states.npy"


def options(batching, topk):
    return "--decode-batching-size", batching, "--topk", topk, "--tie-rule", "torch-cpu"


def test_our_proofs_are_the_packages(run, package, case):
    _, batching, topk, trace, states = case
    done = run("proof", "toploc", "build", trace, "--json", *options(batching, topk))
    assert done.code == 0, done.err
    assert json.loads(done.out) == package("build", states, batching, topk)


def test_package_verifies_our_proofs(run, package, case, tmp_path):
    rows, batching, topk, trace, states = case
    (tmp_path / "proofs.json").write_text(run("proof", "toploc", "build", trace, "--json", *options(batching, topk)).out)
    n_chunks = -(-len(rows) // batching)
    assert package("verify", states, tmp_path / "proofs.json", batching, topk) == [[0, 0.0, 0.0]] * n_chunks


def test_both_measure_the_same_distances(run, package, case, tmp_path):
    states, batching, topk, trace, states_file = case
    (tmp_path / "proofs.json").write_text(json.dumps(package("build", states_file, batching, topk)))
    random = np.random.default_rng(9)
    noisy = synthetic_trace.bf16((states.astype(np.uint32) << 16).view(np.float32) * random.normal(1, 0.01, states.shape))
    np.save(tmp_path / "noisy.npy", noisy)
    expected = package("verify", tmp_path / "noisy.npy", tmp_path / "proofs.json", batching, topk)
    verifiers = synthetic_trace.write(tmp_path / "noisy.safetensors", noisy)
    done = run("proof", "toploc", "verify", tmp_path / "proofs.json", verifiers, "--json", *options(batching, topk))
    assert done.code in (0, REJECTED), done.err
    chunks = json.loads(done.out)["chunks"]
    for chunk, (exponent_mismatches, mean, median) in zip(chunks, expected, strict=True):
        assert chunk["exponent_mismatches"] == exponent_mismatches
        assert chunk["mantissa_mean"] == pytest.approx(mean)
        assert chunk["mantissa_median"] == median
    assert any(chunk["mantissa_mean"] > 0 for chunk in chunks)
