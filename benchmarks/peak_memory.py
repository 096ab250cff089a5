#!/usr/bin/env python3
"""Peak memory of a prover and a verifier, command and worker together, for growing outputs.

    benchmarks/peak_memory.py VERILLM MODEL.gguf [DEVICE] [OUTPUT TOKENS ...]

Memory that both processes map (the model's file) is counted in each; the figure is the largest resident set of one process, that of
the worker, and the command's own beside it.
"""

import os
import subprocess
import sys
import tempfile


def peaks(command):
    """Largest resident sets in MB of the command itself and of the worker that it starts, sampled from the kernel's high-water marks."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    own = worker = 0
    while True:
        for pid, is_worker in [(process.pid, False)] + [(child, True) for child in children(process.pid)]:
            mark = high_water(pid)
            if is_worker:
                worker = max(worker, mark)
            else:
                own = max(own, mark)
        try:
            process.wait(timeout=0.02)
            break
        except subprocess.TimeoutExpired:
            pass
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return own, worker


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def high_water(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0


def main():
    verillm, model = sys.argv[1:3]
    device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
    lengths = [int(word) for word in sys.argv[4:]] or [100, 1000, 4000]
    print(f"{'output':>8} {'prover':>10} {'its worker':>11} {'verifier':>10} {'its worker':>11} {'trace':>9}   (MB)")
    with tempfile.TemporaryDirectory() as folder:
        for length in lengths:
            common = ["--model", model, "--device", device]
            prover = peaks([verillm, "infer", *common, "--prompt", "Tell a long story of a mill.", "--output-tokens", str(length), "--ignore-end", "--out", folder])
            verifier = peaks([verillm, "verify", folder, *common])
            size = os.path.getsize(os.path.join(folder, "trace.safetensors")) / 1e6
            print(f"{length:>8} {prover[0]:>10.0f} {prover[1]:>11.0f} {verifier[0]:>10.0f} {verifier[1]:>11.0f} {size:>9.1f}")


if __name__ == "__main__":
    main()
