#!/usr/bin/env python3
"""Experiment 2 at the published size: how long each phase takes, what it holds in memory and leaves on disk.

    verillm model synth --like qwen2.5-7b --out qwen2.5-7b.gguf
    benchmarks/published_size.py VERILLM qwen2.5-7b.gguf OUT [PROVER [VERIFIER]]

One trial of configs/exp2.yaml in each direction: 300 + 1000 tokens, three verifiers, and the verification on the prover's own device
that the result is held against. OUT is kept, so that an interrupted run goes on.
"""

import json
import pathlib
import sys

from experiment import CONFIG, told_by
from measure import run


def main():
    verillm, model, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    prover, verifier = (sys.argv[4:6] + ["auto", "auto"])[:2]
    measured = run(verillm, "experiment", "run", CONFIG, "--model", model, "--trials", 1, "--prover", prover, "--verifier", verifier, "--out", out)
    print("direction | prompt + output tokens | prefill | decode | same device | verifications | overhead | accept rate (paper)")
    for path in sorted(out.glob("*_summary.json")):
        summary = json.loads(path.read_text())
        for trial in summary["trials"]:
            inference = trial["inference"]
            timing = inference["timing"]
            seconds = [item["overhead"]["verification_time"] for item in trial["verifiers"]]
            baseline = trial["baseline"]["overhead"]["verification_time"]
            print(f"{trial['inference_device']} to {trial['verification_device']}"
                  f" | {inference['prompt_length']} + {inference['generated_length']}"
                  f" | {timing['prefill_time']:.1f} s | {timing['decode_time']:.1f} s ({timing['tokens_per_second']:.2f} tokens/s)"
                  f" | {baseline:.1f} s | {', '.join(f'{s:.1f}' for s in seconds)} s"
                  f" | {trial['summary']['avg_overhead_percentage']:.1f} %"
                  f" | {100 * trial['summary']['avg_accept_rate']:.2f} %")
    told = sum(told_by(out).values())
    print(f"whole run {measured.seconds:.1f} s, of which {measured.seconds - told:.1f} s for hashing and loading the model and for judging")
    print(f"peak memory of a process: {measured.peak_mb:.0f} MB, the mapped file of the model included")
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.stat().st_size > 100_000:
            print(f"{path.relative_to(out)}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
