#!/usr/bin/env python3
"""A whole experiment against the sum of its plain llama.cpp parts.

    benchmarks/experiment.py BUILD MODEL.gguf [TRIALS [ROUNDS [CONFIG]]]

`verillm experiment run` of BUILD (configs/exp2.yaml unless told otherwise) from start to end, then for each of its two devices a
process that loads the model and does with llama.cpp alone what fell to that device: generation of the same tokens, one prefill of
them on the prover's device, and one for each verifier. The two take turns; the ratio of whole times is what counts.
"""

import json
import pathlib
import statistics
import sys
import tempfile

from measure import run, spread

CONFIG = pathlib.Path(__file__).parent.parent / "configs" / "exp2.yaml"


def told_by(results):
    """What the experiment itself says of its parts, in seconds."""
    parts = {"generate": 0, "prefill": 0}
    for path in results.glob("*_summary.json"):
        for trial in json.loads(path.read_text())["trials"]:
            parts["generate"] += trial["inference"]["timing"]["total_time"]
            parts["prefill"] += sum(item["overhead"]["verification_time"] for item in [trial["baseline"], *trial["verifiers"]])
    return parts


def plain(program, model, results):
    """The plain parts of an experiment with these results: seconds altogether, and of each kind."""
    traces = sorted(results.glob("inference/*/trace.safetensors"))
    summary = json.loads(next(results.glob("*_summary.json")).read_text())
    seconds, parts = 0, {"load": 0, "generate": 0, "prefill": 0}
    for device in (summary["inference_device"], summary["verification_device"]):
        measured = run(program, model, device, summary["num_verifiers_per_trial"], *traces)
        seconds += measured.seconds
        for kind, value in json.loads(measured.output).items():
            parts[kind] += value
    return seconds, parts


def main():
    build, model = pathlib.Path(sys.argv[1]), sys.argv[2]
    trials, rounds = (int(word) for word in (sys.argv[3:5] + ["1", "5"][len(sys.argv[3:5]):]))
    config = sys.argv[5] if len(sys.argv) > 5 else CONFIG
    whole, whole_plain, parts, parts_plain = [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder)
            measured = run(build / "bin" / "verillm", "experiment", "run", config, "--model", model, "--trials", trials, "--out", results)
            whole.append(measured.seconds)
            parts.append(told_by(results))
            seconds, of_plain = plain(build / "benchmarks" / "benchmark_plain_experiment", model, results)
            whole_plain.append(seconds)
            parts_plain.append(of_plain)
    print("| part | ours | plain llama.cpp | median ratio (range) |\n| --- | --- | --- | --- |")

    def row(name, ours, theirs):
        ratios = spread([a / b for a, b in zip(ours, theirs)])
        print(f"| {name} | {statistics.median(ours):.2f} s | {statistics.median(theirs):.2f} s | {ratios} |")

    row("whole", whole, whole_plain)
    for kind in ("generate", "prefill"):
        row(kind, [item[kind] for item in parts], [item[kind] for item in parts_plain])
    row("rest: start, loading, results", [a - sum(b.values()) for a, b in zip(whole, parts)],
        [a - b["generate"] - b["prefill"] for a, b in zip(whole_plain, parts_plain)])


if __name__ == "__main__":
    main()
