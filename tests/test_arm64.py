"""Experiment 2 between this machine and emulated 64-bit ARM with half-precision arithmetic, as short as it can be. Here only where
scripts/build-arm64 has built it: `./test --arm64`."""

import json

import pytest

from conftest import ROOT

CONFIG = """
experiment: exp2
title: Does another instruction set break an honest verification?
model: smollm2-135m
prover: cpu
verifier: cpu:armv8.2_2@arm64
workers:
  arm64:
    command: [%s, worker]
scenario: both
trials: 1
verifiers: 1
prompts: prompts.yaml
prompt_length: short
raw: true
output_tokens: 12
sampling: {temperature: 0.7, top_p: 0.9, seed: 1, ignore_end: true}
record: {layers_every: 8, final: true, states: bf16}
policy: paper
thresholds: {pe: 0.05, pm: 0.75, pw: 0.50, mean_error: 0.01}
criterion: 0.90
"""


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arm64")
    (folder / "prompts.yaml").write_text("prompts: {short: ['The mill turns with the tide because']}\n")
    (folder / "exp2.yaml").write_text(CONFIG % (ROOT / "build-arm64" / "verillm"))
    done = run("experiment", "run", folder / "exp2.yaml", "--out", folder / "results", timeout=900)
    assert done.code == 0, done.err
    return [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*_trial1.json"))]


def test_both_scenarios_run_and_an_honest_machine_is_accepted_either_way(results):
    assert len(results) == 2
    provers = {trial["context"]["prover"]["device"]["name"]: trial for trial in results}
    assert "cpu:armv8.2_2" in provers
    for trial in results:
        assert trial["summary"]["final_verdict"] == "PASS"
        assert trial["verifiers"][0]["device"]["name"] != trial["context"]["prover"]["device"]["name"]


def test_half_precision_differs_from_x86_more_than_x86_from_itself_and_less_than_a_cheat(results):
    for trial in results:
        pooled = trial["verifiers"][0]["statistics"]["summary"]
        assert 0.002 < pooled["avg_Pe"] < 0.05
        assert 0.9 < pooled["accept_rate"] <= 1
