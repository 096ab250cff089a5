#!/usr/bin/env python3
"""How cost grows with tokens, width, capture points and verifiers, each series with the law that it should follow.

    benchmarks/growth.py VERILLM MODEL.gguf [OUT.json [OUT.svg]]

MODEL is SmolLM2-135M; the models for the widths are made by `verillm model synth`. Each law is a sum of terms, of which none may be
negative, fitted to the relative deviations; the largest of them is printed and drawn. Python requirements: benchmarks/requirements.txt.
"""

import itertools
import json
import pathlib
import statistics
import sys
import tempfile
import time

import matplotlib
import numpy as np

from experiment import CONFIG
from measure import infer, run, verify

matplotlib.use("svg")
from matplotlib import pyplot

TOKENS = [300, 1000, 2000, 4000, 8000]
WIDTHS = [576, 896, 1792, 2688, 3584]
PLANS = [(30, "--no-final"), (15,), (6,), (3,), (2,), (1,)]  # 2 to 32 of the capture points of 30 blocks
VERIFIERS = [1, 2, 4, 8, 16]

ROUNDS = 5
PATIENCE = 30  # seconds after which a point is not measured again

# Terms of the laws in the variable n of a column.
ONE = ("1", lambda n: 1.0 + 0 * n)
LINEAR = ("n", lambda n: n)
QUADRATIC = ("n²", lambda n: n**2)

# By column and quantity; prompts are short in the first column, so that tokens are output tokens, of which each attends to all before it.
LAWS = {
    "tokens": {"recording": [LINEAR, QUADRATIC], "verification": [ONE, LINEAR, QUADRATIC], "comparison": [ONE, LINEAR], "trace": [ONE, LINEAR],
               "memory": [ONE, LINEAR]},
    "width": {"recording": [ONE, LINEAR, QUADRATIC], "verification": [ONE, LINEAR, QUADRATIC], "comparison": [ONE, LINEAR], "trace": [ONE, LINEAR],
              "memory": [ONE, LINEAR, QUADRATIC]},
    "points": {"recording": [ONE, LINEAR], "verification": [ONE, LINEAR], "comparison": [ONE, LINEAR], "trace": [ONE, LINEAR],
               "memory": [ONE, LINEAR]},
    "verifiers": {"verification": [LINEAR], "overhead": [ONE], "results": [ONE, LINEAR], "memory": [ONE]},
}
TITLES = {"tokens": "output tokens (SmolLM2-135M)", "width": "width (2 blocks, 300 + 64 tokens)",
          "points": "capture points (SmolLM2-135M, 300 + 300)", "verifiers": "verifiers (exp2, 100 output tokens)"}
UNITS = {"recording": "generation with recording, s", "verification": "verification, s", "comparison": "verillm compare, s", "trace": "trace, MB",
         "memory": "peak memory of a verifier, MB", "overhead": "overhead of a verifier, %", "results": "a trial's results, MB"}


def medians(measure):
    """The median of each quantity that `measure` gives, over a few rounds."""
    start, rounds = time.monotonic(), []
    while len(rounds) < ROUNDS and time.monotonic() - start < PATIENCE:
        rounds.append(measure())
    return {key: statistics.median(values[key] for values in rounds) for key in rounds[0]}


def response(verillm, model, n_prompt, n_output, *options):
    """One response recorded, verified and compared with the verifier's own states, of which both have as many as `options` say."""
    with tempfile.TemporaryDirectory() as folder:
        trace, own = pathlib.Path(folder) / "trace.safetensors", pathlib.Path(folder) / "own.safetensors"
        record, _ = infer(verillm, model, folder, n_prompt, n_output, *options)

        def once():
            verdict, verification = verify(verillm, model, folder, *options)
            return {"verification": verdict["verification_seconds"], "memory": verification.peak_mb}

        costs = medians(once)
        verify(verillm, model, folder, "--keep", own, *options)
        costs |= medians(lambda: {"comparison": run(verillm, "compare", trace, own, codes=(0, 1, 3)).seconds})
        return costs | {"recording": record["decode_seconds"], "trace": trace.stat().st_size / 1e6, "points": len(record["plan"]["points"])}


def by_tokens(verillm, model, folder):
    for n in TOKENS:
        yield n, response(verillm, model, 20, n)


def by_width(verillm, model, folder):
    for width in WIDTHS:
        path = folder / f"{width}.gguf"
        run(verillm, "model", "synth", "--like", "llama-tiny", "--tokenizer", model, "--blocks", 2, "--width", width, "--heads", width // 64,
            "--kv-heads", width // 64, "--feed-forward", 4 * width, "--out", path)
        yield width, response(verillm, path, 300, 64)
        path.unlink()


def by_points(verillm, model, folder):
    for plan in PLANS:
        costs = response(verillm, model, 300, 300, "--layers-every", *plan)
        yield costs["points"], costs


def by_verifiers(verillm, model, folder):
    for n in VERIFIERS:
        def once():
            with tempfile.TemporaryDirectory() as out:
                results = pathlib.Path(out)
                whole = run(verillm, "experiment", "run", CONFIG, "--model", model, "--scenario", 1, "--trials", 1,
                            "--output-tokens", 100, "--verifiers", n, "--out", results)
                path = next(results.glob("*_trial1.json"))
                trial = json.loads(path.read_text())
                seconds = [item["overhead"]["verification_time"] for item in trial["verifiers"]]
                return {"verification": sum(seconds), "results": path.stat().st_size / 1e6, "memory": whole.peak_mb,
                        "overhead": trial["summary"]["avg_overhead_percentage"]}
        yield n, medians(once)


def fit(xs, ys, terms):
    """Coefficients, none negative, for the least relative deviations, and the largest of these: the best over all subsets of the terms."""
    best = None
    for size in range(1, len(terms) + 1):
        for chosen in itertools.combinations(range(len(terms)), size):
            matrix = np.array([[terms[i][1](x) / y for i in chosen] for x, y in zip(xs, ys)])
            solution = np.linalg.lstsq(matrix, np.ones(len(ys)), rcond=None)[0]
            if min(solution) < 0:
                continue
            error = float(np.sum((matrix @ solution - 1) ** 2))
            if best is None or error < best[0]:
                coefficients = np.zeros(len(terms))
                coefficients[list(chosen)] = solution
                best = error, coefficients.tolist(), float(np.max(np.abs(matrix @ solution - 1)))
    return best[1:]


def law_text(coefficients, terms):
    parts = [f"{coefficient:.3g}" + ("" if name == "1" else f" {name}") for coefficient, (name, _) in zip(coefficients, terms) if coefficient > 0]
    return " + ".join(parts)


def draw(series, path):
    pyplot.rcParams.update({"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"], "font.size": 8,
                            "axes.spines.top": False, "axes.spines.right": False})
    n_rows = max(len(laws) for laws in LAWS.values())
    figure, axes = pyplot.subplots(n_rows, len(LAWS), figsize=(13, 2.3 * n_rows), facecolor="white", layout="constrained")
    for column, (variable, laws) in enumerate(LAWS.items()):
        axes[0][column].set_title(TITLES[variable], fontsize=9)
        for axis, (quantity, terms) in zip(axes[:, column], laws.items()):
            found = series[variable][quantity]
            xs = np.array(found["x"], dtype=float)
            line = np.linspace(xs.min(), xs.max(), 60)
            axis.plot(line, sum(c * term(line) for c, (_, term) in zip(found["coefficients"], terms)), color="#c44", linewidth=1)
            axis.plot(xs, found["y"], "o", color="#248", markersize=4)
            axis.set_ylim(0, 1.4 * max(found["y"]))
            axis.locator_params(nbins=4)
            axis.text(0.03, 0.97, f"{found['law']}\ndeviates by at most {100 * found['deviation']:.1f} %",
                      transform=axis.transAxes, va="top", fontsize=7)
            axis.set_ylabel(UNITS[quantity])
        for axis in axes[len(laws):, column]:
            axis.axis("off")
    axes[-1][-1].text(0, 0.9, "Points: medians measured.\nLines: the law of the panel, fitted;\nn is what stands above the column.", va="top")
    figure.savefig(path, metadata={"Date": None})


def main():
    verillm, model = sys.argv[1:3]
    out = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else "growth.json")
    svg = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else "growth.svg")
    series = {}
    with tempfile.TemporaryDirectory() as folder:
        for variable, measure in (("tokens", by_tokens), ("width", by_width), ("points", by_points), ("verifiers", by_verifiers)):
            measured = list(measure(verillm, model, pathlib.Path(folder)))
            series[variable] = {}
            for quantity, terms in LAWS[variable].items():
                xs, ys = [x for x, _ in measured], [costs[quantity] for _, costs in measured]
                coefficients, deviation = fit(xs, ys, terms)
                law = law_text(coefficients, terms)
                series[variable][quantity] = {"x": xs, "y": ys, "law": law, "coefficients": coefficients, "deviation": deviation}
                print(f"{quantity} by {variable}: {law}, deviates by at most {100 * deviation:.1f} %: "
                      + ", ".join(f"{x}: {y:.4g}" for x, y in zip(xs, ys)), flush=True)
    out.write_text(json.dumps(series, indent=1) + "\n")
    draw(series, svg)


if __name__ == "__main__":
    main()
