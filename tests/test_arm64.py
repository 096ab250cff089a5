"""Experiment 2 between this machine and emulated 64-bit ARM with half-precision arithmetic, as short as it can be. Here only where
scripts/build-arm64 has built it: `./test --arm64`."""

import json

import pytest

from conftest import ROOT


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arm64")
    # The configuration that a user runs, with a prompt of a few tokens.
    config = (ROOT / "configs" / "exp2-arm64.yaml").read_text(encoding="utf-8")
    assert "calibration-prompts.yaml" in config
    (folder / "exp2.yaml").write_text(config.replace("calibration-prompts.yaml", "prompts.yaml") + "raw: true\n", encoding="utf-8")
    (folder / "prompts.yaml").write_text("prompts: {evaluation: ['The mill turns with the tide because']}\n", encoding="utf-8")
    done = run("experiment", "run", folder / "exp2.yaml", "--output-tokens", 12, "--out", folder / "results", timeout=900)
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
