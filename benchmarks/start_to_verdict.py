#!/usr/bin/env python3
"""Where the time of `verillm verify` goes, from the start of its process to the verdict, for a short response.

    benchmarks/start_to_verdict.py VERILLM MODEL.gguf [PROMPT TOKENS [OUTPUT TOKENS [ROUNDS]]]

Parts are what --verbose tells; the digest of the model's file is remembered from the second time on, so the first is measured with
an empty cache. Medians, in milliseconds.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from measure import infer, run

# What the log says, as parts that follow one another; those in brackets belong to the part before.
PARTS = {"process": "start of the process (verillm --version)", "digest of": "digest of the model", "start of worker": "start of the worker",
         "opening device": "(the device in it)", "loading the model": "model load", "making the context": "context", "prefill": "prefill",
         "comparison": "(comparison beside it)", "judging": "decision", "end of": "end of the worker"}


def timed(verillm, folder, model, cache):
    """Seconds to the verdict, and of each part."""
    with tempfile.TemporaryFile("w+") as log:
        start = time.monotonic()
        environment = os.environ | ({"VERILLM_CACHE": cache} if cache else {})
        command = [verillm, "--verbose", "verify", folder, "--model", model]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as process:
            process.stdout.read(1)
            verdict = time.monotonic() - start
            process.stdout.read()
        whole = time.monotonic() - start
        if process.returncode not in (0, 1, 3):
            sys.exit(f"verify ended with {process.returncode}")
        log.seek(0)
        parts = dict.fromkeys(PARTS, 0)
        for what, seconds in re.findall(r"debug: (?!debug)(.*) took ([0-9.]+) s$", log.read(), re.M):
            parts[next(part for part in PARTS if what.startswith(part))] += float(seconds)
    parts["process"] = run(verillm, "--version").seconds
    told = sum(seconds for part, seconds in parts.items() if not PARTS[part].startswith("("))
    return parts | {"rest": whole - told, "verdict": verdict, "whole": whole}


def main():
    verillm, model = sys.argv[1:3]
    n_prompt, n_output, rounds = (int(word) for word in (sys.argv[3:6] + ["30", "32", "15"][len(sys.argv[3:6]):]))
    with tempfile.TemporaryDirectory() as folder:
        infer(verillm, model, folder, n_prompt, n_output)
        remembered, first = [], []
        for _ in range(rounds):
            remembered.append(timed(verillm, folder, model, None))
            with tempfile.TemporaryDirectory() as cache:
                first.append(timed(verillm, folder, model, cache))
    print(f"| {n_prompt} + {n_output} tokens | digest remembered | first time |\n| --- | --- | --- |")
    for part, name in (PARTS | {"rest": "rest", "verdict": "**start to verdict**", "whole": "whole command"}).items():
        print(f"| {name} | " + " | ".join(f"{1000 * statistics.median(row[part] for row in rows):.1f}" for rows in (remembered, first)) + " |")


if __name__ == "__main__":
    main()
