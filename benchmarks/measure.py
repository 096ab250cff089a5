"""What the benchmarks share: running a command and seeing what it took, and saying how measurements vary."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass
class Measured:
    seconds: float  # of the whole command
    peak_mb: float  # largest resident set of it and the processes that it started, each for itself
    output: str     # what it printed


def run(*command, codes=(0,)):
    """Runs a command, whose exit code must be one of `codes`."""
    start = time.monotonic()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read()
        # The kernel's own account, which costs the command nothing.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    if process.returncode not in codes:
        sys.exit(f"{' '.join(str(word) for word in command)} ended with {process.returncode}")
    return Measured(seconds, usage.ru_maxrss / 1024, output)


def infer(verillm, model, folder, n_prompt, n_output, *options):
    """Records `n_output` tokens after a prompt of exactly `n_prompt`; gives what inference.json says, and the measurement."""
    measured = run(verillm, "infer", "--model", model, "--raw", "--prompt", " the" * n_prompt, "--output-tokens", n_output,
                   "--ignore-end", "--out", folder, "--json", *options)
    with open(os.path.join(folder, "inference.json")) as file:
        record = json.load(file)
    if (record["n_prompt"], record["n_output"]) != (n_prompt, n_output):
        sys.exit(f"{record['n_prompt']} + {record['n_output']} tokens instead of {n_prompt} + {n_output}")
    return record, measured


def verify(verillm, model, folder, *options):
    """Verifies a recording, whatever the verdict; gives what --json says, and the measurement."""
    measured = run(verillm, "verify", folder, "--model", model, "--json", *options, codes=(0, 1, 3))
    return json.loads(measured.output), measured


def spread(values, form=".3f"):
    """The median, and from where to where the values go."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
