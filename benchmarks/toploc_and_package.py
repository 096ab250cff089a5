#!/usr/bin/env python3
"""Building and verifying TOPLOC proofs: verillm's against the Python package's, in turn, on the shape of the package's own benchmark.

    PYTHON benchmarks/toploc_and_package.py build/benchmarks/benchmark_toploc [ROUNDS]

PYTHON has the package: python/bin/python in the cache, which scripts/prepare-tests makes. It first checks that both build the same
proofs. The tensor is one of (rows, width) with skip_prefill, which is what takes the package's compiled verifier. The package
has no other tie rule than torch's, so both of verillm's are held against it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from toploc import build_proofs, build_proofs_base64, verify_proofs

ROWS, WIDTH, TOPK, BATCH = 1000, 5120, 128, 32
RULES = ("torch-cpu", "lowest-index")


class Ours:
    def __init__(self, program, states):
        arguments = [program, states, str(WIDTH), str(BATCH), str(TOPK)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what, rule):
        self.process.stdin.write(f"{what} {rule}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(name, ours, package):
    ratios = sorted(theirs / own for own, theirs in zip(ours, package, strict=True))
    own, theirs = (1e3 * statistics.median(times) for times in (ours, package))
    print(f"{name:<24}{own:>10.2f}{theirs:>12.2f}{statistics.median(ratios):>14.1f}   {ratios[0]:.1f} to {ratios[-1]:.1f}")


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    torch.manual_seed(1)
    states = torch.randn(ROWS, WIDTH).to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "states"
        path.write_bytes(states.view(torch.int16).numpy().tobytes())
        ours = Ours(sys.argv[1], str(path))
        proofs = build_proofs(states, BATCH, TOPK, True)
        if ours.ask("proofs", "torch-cpu") != build_proofs_base64(states, BATCH, TOPK, True):
            sys.exit("the proofs differ")
        package_calls = {
            "build": lambda: build_proofs(states, BATCH, TOPK, True),
            "verify": lambda: verify_proofs(states, proofs, BATCH, TOPK, True),
        }
        print(f"{ROWS} rows of {WIDTH} in bf16, topk {TOPK}, batches of {BATCH}: {len(proofs)} proofs; {rounds} rounds, torch {torch.__version__}")
        print(f"{'median ms':<24}{'verillm':>10}{'package':>12}{'median ratio':>14}   range")
        times = {(what, rule): ([], []) for what in package_calls for rule in RULES}
        for _ in range(rounds):
            for (what, rule), (own, package) in times.items():
                package.append(seconds(package_calls[what]))
                own.append(ours.ask(what, rule))
        for (what, rule), (own, package) in times.items():
            report(f"{what}, {rule}", own, package)


if __name__ == "__main__":
    main()
