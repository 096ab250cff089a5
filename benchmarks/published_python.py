#!/usr/bin/env python3
"""The work that the published Python was measured with: inference with recording, and one verification.

    benchmarks/published_python.py VERILLM MODEL.gguf [ROUNDS]

326 + 64 and 300 + 1000 tokens with weights in F32 and F16 on two threads; the F32 file is made of MODEL for the time of the run.
Prints medians: seconds of the computation alone and of the whole commands, which load the model each time, and peak memory.
"""

import pathlib
import statistics
import sys
import tempfile

from measure import infer, run, spread, verify

LENGTHS = [(326, 64), (300, 1000)]


def main():
    verillm, model = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    print("| weights | tokens | inference | whole command | peak memory | verification | whole command | peak memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for weights in ("f32", "f16"):
            models[weights] = pathlib.Path(folder) / f"{weights}.gguf"
            run(verillm, "model", "quantize", model, models[weights], "--type", weights)
        for n_prompt, n_output in LENGTHS:
            seen = {weights: [] for weights in models}
            for _ in range(rounds):
                for weights, path in models.items():
                    record, inference = infer(verillm, path, folder, n_prompt, n_output, "--threads", 2)
                    verdict, verification = verify(verillm, path, folder, "--threads", 2)
                    seen[weights].append((record["prefill_seconds"] + record["decode_seconds"], inference.seconds, inference.peak_mb,
                                          verdict["verification_seconds"], verification.seconds, verification.peak_mb))
            for weights, rows in seen.items():
                times, commands, peaks, verified, verify_commands, verify_peaks = zip(*rows)
                print(f"| {weights} | {n_prompt} + {n_output} | {spread(times, '.2f')} s | {statistics.median(commands):.2f} s"
                      f" | {statistics.median(peaks):.0f} MB | {spread(verified, '.2f')} s | {statistics.median(verify_commands):.2f} s"
                      f" | {statistics.median(verify_peaks):.0f} MB |")


if __name__ == "__main__":
    main()
