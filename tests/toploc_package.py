"""Runs the Python package `toploc` on a matrix of bf16 bits, in a process of its own: torch and its threads stay out of the tests'.

    toploc_package.py build STATES.npy BATCHING TOPK                    prints a JSON list of base64 proofs
    toploc_package.py verify STATES.npy PROOFS.json BATCHING TOPK       prints a JSON list of [exponent mismatches, mean, median]

The states are one tensor with skip_prefill, which is the package's compiled path.
"""

import json
import sys

import numpy as np
import torch
from toploc import build_proofs_base64, verify_proofs_base64


def main():
    what, states, *rest = sys.argv[1:]
    tensor = torch.from_numpy(np.load(states).view(np.int16)).view(torch.bfloat16)
    if what == "build":
        batching, topk = rest
        print(json.dumps(build_proofs_base64(tensor, int(batching), int(topk), True)))
        return
    proofs, batching, topk = rest
    with open(proofs, encoding="ascii") as file:
        results = verify_proofs_base64(tensor, json.load(file), int(batching), int(topk), True)
    print(json.dumps([[result.exp_mismatches, result.mant_err_mean, result.mant_err_median] for result in results]))


if __name__ == "__main__":
    main()
