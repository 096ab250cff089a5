#!/usr/bin/env python3
"""Building and verifying TOPLOC proofs with the Python package, on states of the same kind as benchmark_toploc's.

    PYTHON benchmarks/toploc_peer.py [REPETITIONS]

PYTHON has the package: python-peers/bin/python in the cache, which scripts/prepare-peer-tests makes. The tensor is one of (rows, width) with skip_prefill, which is what
takes the package's compiled verifier.
"""

import sys
import time

import torch
from toploc import build_proofs, build_proofs_base64, verify_proofs

ROWS, WIDTH, TOPK, BATCH = 1000, 5120, 128, 32


def milliseconds(call):
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def main():
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.manual_seed(1)
    states = torch.randn(ROWS, WIDTH).to(torch.bfloat16)
    proofs = build_proofs(states, BATCH, TOPK, True)
    calls = {
        "build": lambda: build_proofs(states, BATCH, TOPK, True),
        "build base64": lambda: build_proofs_base64(states, BATCH, TOPK, True),
        "verify": lambda: verify_proofs(states, proofs, BATCH, TOPK, True),
    }
    print(f"{ROWS} rows of {WIDTH} in bf16, topk {TOPK}, batches of {BATCH}; {repetitions} repetitions, torch {torch.__version__}")
    print(f"{'ms':<28}{'best':>10}{'median':>10}{'worst':>10}")
    for name, call in calls.items():
        times = sorted(milliseconds(call) for _ in range(repetitions))
        print(f"{'package: ' + name:<28}{times[0]:>10.2f}{times[len(times) // 2]:>10.2f}{times[-1]:>10.2f}")


if __name__ == "__main__":
    main()
