"""Experiment 2 end to end with short outputs: files, resumption, split steps, other workers, a second architecture."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = "configs/exp2.yaml"
SHORT = ("--output-tokens", 16, "--trials", 2, "--verifiers", 2)


def files_of(folder):
    return sorted(path.name for path in folder.glob("*.json"))


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exp2")
    done = run("experiment", "run", CONFIG, "--out", folder, *SHORT)
    assert done.code == 0, done.err
    return folder, done


def test_both_scenarios_leave_the_published_files(results):
    folder, _ = results
    names = files_of(folder)
    assert len(names) == 6 and sum(name.endswith("_summary.json") for name in names) == 2
    for name in names:
        assert name.startswith("smollm2-135m_cpu:") and "_to_cpu:" in name
    for path in folder.glob("*_trial1.json"):
        trial = json.loads(path.read_text())
        assert {"experiment", "trial_id", "model", "inference_device", "verification_device", "prompt", "schema_version", "context"} <= set(trial)
        assert trial["experiment"] == "exp2" and trial["inference_device"] != trial["verification_device"]
        assert trial["schema_version"] == 2
        assert (trial["attack"], trial["lazy_verifier"], trial["expected_result"]) == ("none", "none", "ACCEPT")
        inference = trial["inference"]
        assert inference["generated_length"] == 16
        assert inference["timing"]["total_time"] > 0 and inference["timing"]["tokens_per_second"] > 0
        assert len(trial["verifiers"]) == 2
        for number, verifier in enumerate(trial["verifiers"]):
            assert verifier["verifier_id"] == number and verifier["verdict"] == "PASS"
            per_layer = verifier["statistics"]["per_layer"]
            assert len(per_layer) == 16 * 5
            pair = per_layer["token_3_layer_24"]
            published = {"exact_match", "exp_match_large", "exp_match_small", "exp_mismatch_large", "exp_mismatch_small", "mean_error", "max_error",
                         "Pe", "Pm", "Pw", "verdict"}
            assert published <= set(pair) and pair["verdict"] in ("ACCEPT", "REJECT")
            summary = verifier["statistics"]["summary"]
            assert {"accept_rate", "accept_count", "total_count", "avg_mean_error", "avg_Pe"} <= set(summary)
            assert summary["total_count"] == 80 and 0.9 < summary["accept_rate"] <= 1
            assert verifier["overhead"]["percentage"] > 0
            assert set(verifier["policies"]) == {"paper", "reference"}
        assert {"avg_accept_rate", "avg_overhead_percentage", "final_verdict"} <= set(trial["summary"])
        assert (trial["summary"]["final_verdict"], trial["summary"]["as_expected"]) == ("PASS", True)


def test_summary_answers_jq_like_the_published_one(results):
    folder, _ = results
    for path in folder.glob("*_summary.json"):
        summary = json.loads(path.read_text())
        assert summary["num_trials"] == 2 and summary["num_verifiers_per_trial"] == 2 and len(summary["trials"]) == 2
        assert 0.9 < summary["aggregate"]["avg_accept_rate"] <= 1
        assert summary["schema_version"] == 2
        assert summary["aggregate"]["pass_rate"] == 1
        assert summary["aggregate"]["as_expected_rate"] == 1 and summary["aggregate"]["first_as_expected"] == 1
        assert 0 < summary["aggregate"]["avg_overhead_percentage"]
        assert 0.9 < summary["aggregate"]["avg_accept_rate_published_plan"] <= 1


def test_report_answers_the_three_questions(run, results):
    folder, ran = results
    done = run("experiment", "report", folder)
    assert done.code == 0 and done.out == ran.out
    for words in ("Do the devices differ?", "Is one direction worse?", "Does the error grow with depth?", "99.79 %", "criterion"):
        assert words in done.out
    report = json.loads(run("experiment", "report", folder, "--json").out)
    assert report["schema_version"] == 2 and report["detection"] == []
    assert [direction["scenario"] for direction in report["directions"]] == [1, 2]
    assert {question["question"] for question in report["questions"]} == {"device difference", "direction", "depth"}


def test_report_begins_with_a_table_of_the_cases(results):
    _, ran = results
    lines = ran.out.splitlines()
    assert lines[0] == "exp2: Does other hardware break an honest verification?" and lines[1] == ""
    header = re.split(r" {2,}", lines[2].strip())
    assert header == ["prover", "verifier", "cheat", "policy", "accept rate", "passed", "expected", "as expected"]
    cases = [re.split(r" {2,}", line.strip()) for line in itertools.takewhile(str.strip, lines[3:])]
    assert len(cases) == 2 and cases[0][:2] == cases[1][1::-1]
    for case in cases:
        assert case[2:4] == ["none", "paper"] and case[5:] == ["100.00 %", "accept", "100.00 %"]


def test_second_run_keeps_everything(run, results):
    folder, ran = results
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "_summary" not in path.name}
    done = run("experiment", "run", CONFIG, "--out", folder, *SHORT)
    assert done.code == 0 and done.out == ran.out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "_summary" not in path.name} == before


def test_other_settings_do_not_mix_with_earlier_results(run, results):
    folder, _ = results
    done = run("experiment", "run", CONFIG, "--out", folder, "--output-tokens", 17, "--trials", 2, "--verifiers", 2)
    assert done.code == 2 and "other settings" in done.err and "--out" in done.err


def test_progress_is_quiet_when_stderr_is_no_terminal(results):
    _, ran = results
    assert "\r" not in ran.err and len(ran.err.strip().splitlines()) <= 1


def test_split_steps_give_the_same_results(run, results, tmp_path):
    folder, _ = results
    done = run("experiment", "run", CONFIG, "--out", tmp_path, "--step", "infer", *SHORT)
    assert done.code == 0, done.err
    assert files_of(tmp_path) == []
    carried = tmp_path.with_name("carried")
    tmp_path.rename(carried)
    done = run("experiment", "run", CONFIG, "--out", carried, "--step", "verify", *SHORT)
    assert done.code == 0, done.err
    assert files_of(carried) == files_of(folder)
    for name in files_of(folder):
        if "_trial" in name:
            ours, theirs = (json.loads((where / name).read_text()) for where in (carried, folder))
            assert ours["verifiers"][0]["statistics"] == theirs["verifiers"][0]["statistics"]


def test_verify_step_needs_inferences(run, tmp_path):
    done = run("experiment", "run", CONFIG, "--out", tmp_path, "--step", "verify", *SHORT)
    assert done.code == 2 and "--step infer" in done.err


def test_worker_behind_a_wrapper_command_gives_the_same_results(run, results, verillm, model, tmp_path):
    folder, _ = results
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text("import os, sys\nsys.stderr.write('wrapped\\n')\nos.execv(sys.argv[1], sys.argv[1:])\n")
    report = json.loads(run("experiment", "report", folder, "--json").out)
    prover = report["directions"][0]["inference_device"]
    verifier = report["directions"][0]["verification_device"]
    config = tmp_path / "config.yaml"
    command = json.dumps([sys.executable, str(wrapper), str(verillm), "worker", "--models", str(Path(model).parent)])
    config.write_text(f"model: {model}\nname: smollm2-135m\nprover: {prover}@here\nverifier: {verifier}@here\nprompts: {Path('configs/prompts.yaml').resolve()}\n"
                      f"scenario: 1\noutput_tokens: 16\ntrials: 1\nverifiers: 2\nworkers: {{here: {{command: {command}}}}}\n")
    done = run("experiment", "run", config, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    name = f"smollm2-135m_{prover}_to_{verifier}_trial1.json"
    wrapped, direct = (json.loads((where / name).read_text()) for where in (tmp_path / "out", folder))
    assert wrapped["verifiers"][0]["statistics"] == direct["verifiers"][0]["statistics"]


def test_interrupted_run_keeps_finished_trials_and_goes_on(run, verillm, tmp_path):
    options = ["experiment", "run", CONFIG, "--out", str(tmp_path), "--scenario", "1", "--output-tokens", "40", "--trials", "3", "--verifiers", "1"]
    process = subprocess.Popen([str(verillm), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("*_trial1.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*_trial*.json")}
    assert finished and len(finished) < 3
    assert process.returncode == 130 and "interrupted" in err
    assert not list(tmp_path.rglob("*.??????")) or all(path.suffix in (".json", ".txt") for path in tmp_path.rglob("*.??????"))
    done = run(*options)
    assert done.code == 0, done.err
    assert len(list(tmp_path.glob("*_trial*.json"))) == 3
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in finished.items())


def test_gemma_runs_experiment_2(run, tmp_path):
    model = Path(os.environ.get("VERILLM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verillm") / "models" / "gemma-3-270m-F16.gguf"
    if not model.exists():
        pytest.skip("gemma3-270m could not be fetched")
    done = run("experiment", "run", CONFIG, "--model", "gemma3-270m", "--out", tmp_path, "--output-tokens", 16, "--trials", 1, "--verifiers", 1)
    assert done.code == 0, done.err
    for path in tmp_path.glob("*_trial1.json"):
        trial = json.loads(path.read_text())
        points = trial["verifiers"][0]["policies"]["paper"]["per_capture_point"]
        assert list(points) == ["0", "8", "16", "final"]
        # The embeddings are the scaled ones that enter the first block, equal on both devices.
        assert points["0"]["exact_share"] == 1
        assert 1e-4 < points["8"]["median_relative_error"] < 2e-2
