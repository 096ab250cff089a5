"""Cheating provers and lazy verifiers: each is there under its name, and each is found out by what is meant to find it."""

import json
from pathlib import Path

import pytest

from conftest import REJECTED, ROOT, assert_refused

CALIBRATION = "configs/calibrations/smollm2-135m.json"
N_OUTPUT = 64

# What the policy `calibrated` rejects in a single answer of 64 tokens.
CERTAIN = [
    "weights-bf16",
    "weights-q8_0",
    "weights-q6_k",
    "weights-q5_k_m",
    "weights-q4_k_m",
    "weights-q4_1",
    "weights-q4_0",
    "cache-q8_0",
    "cache-q4_0",
    "perturbed-weights",
    "perturbed-few-weights",
    "skipped-blocks",
    "skipped-top-block",
    "early-exit",
    "pruned-blocks",
    "randomised-blocks",
    "randomised-top-blocks",
    "cheap-tokens",
    "random-tokens",
    "substituted-tokens",
    "substituted-tokens-and-states",
    "replayed-states",
    "rescaled-states",
    "invented-states",
    "scaled-states",
    "shifted-coordinate",
    "zeroed-rows",
    "flipped-bits",
    "missing-rows",
    "other-text",
    "shortened-prompt",
    "hidden-prompt",
]
# Honest states, and tokens that are often those that an honest prover would have chosen: whether so few of them hold enough that are
# not is a matter of luck.
PROBABLE = {
    "cheap-tokens-q8_0": "Q8_0 mostly chooses the tokens that F16 would",
    "other-temperature": "the same randomness at another temperature mostly chooses the same tokens",
    "greedy": "the most likely token is often the one asked for",
    "biased-sampling": "half of the probability mostly holds the token asked for",
    "other-seed": "where one token is certain, other randomness chooses it too",
}
LAZY = ["copies-prover", "copies-verifier", "invents-states", "answers-blindly", "runs-quantized"]


def load(path):
    return json.loads(Path(path).read_text())


def experiment(run, config, out, *options):
    done = run("experiment", "run", config, "--out", out, *options, timeout=900)
    assert done.code == 0, done.err
    return done


def summaries(folder):
    return [load(path) for path in sorted(folder.glob("*_summary.json"))]


# Names


def test_list_names_every_attack_and_every_lazy_verifier(run):
    done = run("attack", "list", "--json")
    assert done.code == 0, done.err
    listed = json.loads(done.out)
    assert listed["schema_version"] == 2
    names = [attack["name"] for attack in listed["attacks"]]
    assert sorted(names) == sorted([*CERTAIN, *PROBABLE])
    assert [lazy["name"] for lazy in listed["lazy_verifiers"]] == LAZY
    for entry in [*listed["attacks"], *listed["lazy_verifiers"]]:
        assert entry["summary"]
    assert {"precision", "blocks", "tokens", "sampling", "prompt", "text"} <= {attack["group"] for attack in listed["attacks"]}


def test_list_as_text_has_a_line_for_each(run):
    done = run("attack", "list")
    assert done.code == 0, done.err
    provers, verifiers = done.out.split("\n\n")
    listed = json.loads(run("attack", "list", "--json").out)
    for table, entries in ((provers, listed["attacks"]), (verifiers, listed["lazy_verifiers"])):
        lines = table.strip().splitlines()[1:]
        assert len(lines) == len(entries)
        for line, entry in zip(lines, entries):
            assert line.split()[0] == entry["name"] and line.endswith(entry["summary"])


def test_unknown_attack_is_refused_with_the_known_ones(run, tmp_path):
    done = run("attack", "run", "kindness", "--model", "smollm2-135m", "--prompt", "Hello", "--out", tmp_path / "out")
    assert_refused(done, '"kindness"', *CERTAIN, *PROBABLE)
    done = run("experiment", "run", "configs/detection.yaml", "--attack", "none,kindness", "--out", tmp_path / "out")
    assert_refused(done, '"kindness"', *CERTAIN, *PROBABLE)
    assert not (tmp_path / "out").exists()


def test_unknown_lazy_verifier_is_refused_with_the_known_ones(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("experiment: mine\nlazy_verifier: [copies-prover, dozes]\n")
    assert_refused(run("experiment", "run", config, "--out", tmp_path / "out"), config, '"dozes"', *LAZY)


def test_experiments_are_listed_with_what_they_expect(run):
    done = run("experiment", "list", "--json")
    assert done.code == 0, done.err
    listed = json.loads(done.out)
    assert listed["schema_version"] == 2
    experiments = {entry["configuration"]: entry for entry in listed["experiments"]}
    configurations = [path for path in (ROOT / "configs").glob("*.yaml") if "\nexperiment:" in path.read_text()]
    assert len(configurations) > 10
    assert set(experiments) == {f"configs/{path.name}" for path in configurations}
    expected = {path.stem: experiments[f"configs/{path.name}"]["expected"] for path in configurations}
    assert (expected["exp1"], expected["exp3"], expected["exp4"], expected["exp5"], expected["exp6"]) == ("accept", "reject", "reject", "reject", "accept")
    assert expected["detection"] == "cheats rejected"
    assert experiments["configs/exp5.yaml"]["lazy_verifiers"] == LAZY
    assert sorted(experiments["configs/detection.yaml"]["attacks"]) == sorted(["none", *CERTAIN, *PROBABLE])
    text = run("experiment", "list")
    assert text.code == 0
    for entry in listed["experiments"]:
        assert any(entry["configuration"] in line and entry["title"] in line for line in text.out.splitlines())


def test_folder_without_experiments_cannot_be_listed(run, tmp_path):
    (tmp_path / "prompts.yaml").write_text("prompts: {short: [Hello]}\n")
    for folder in (tmp_path, tmp_path / "missing"):
        assert_refused(run("experiment", "list", folder), folder, "no configuration")


# Every attack, one answer each


@pytest.fixture(scope="module")
def detection(run, tmp_path_factory):
    """Results of all attacks and of an honest prover between two devices, with the shipped calibration."""
    folder = tmp_path_factory.mktemp("detection")
    # Devices that the shipped calibration has learned, under names that do not depend on the machine.
    options = ("--prover", "cpu:haswell", "--verifier", "blas", "--trials", 1, "--scenario", 1, "--output-tokens", N_OUTPUT, "--calibration", CALIBRATION)
    done = experiment(run, "configs/detection.yaml", folder, *options)
    return folder, done


@pytest.fixture(scope="module")
def trials(detection):
    """The trial of each attack."""
    folder, _ = detection
    return {trial["attack"]: trial for trial in map(load, folder.glob("*_trial1.json"))}


@pytest.fixture(scope="module")
def policies(trials):
    """Verdicts of the policies on each attack."""
    return {attack: trial["verifiers"][0]["policies"] for attack, trial in trials.items()}


@pytest.fixture(scope="module")
def calibrated(trials, policies):
    """Verdicts of the policy `calibrated`, where its rates hold."""
    pair = (trials["none"]["inference_device"], trials["none"]["verification_device"])
    if pair not in [(learned["prover"], learned["verifier"]) for learned in load(ROOT / CALIBRATION)["pairs"]]:
        pytest.skip(f"the shipped calibration has not learned {pair[0]} to {pair[1]}")
    return {attack: verdicts["calibrated"] for attack, verdicts in policies.items()}


def mean_margin(trial):
    """Of the margins, each counted as 1 logit at most, as the report does."""
    margins = trial["verifiers"][0]["series"]["margin"]
    assert len(margins) == trial["inference"]["generated_length"] == N_OUTPUT
    return sum(min(margin, 1) for margin in margins) / len(margins)


def test_honest_prover_passes(trials, policies):
    assert trials["none"]["summary"]["final_verdict"] == "PASS" and trials["none"]["summary"]["as_expected"]
    assert policies["none"]["paper"]["verdict"] == "accept", policies["none"]["paper"]["reason"]
    assert 0 <= mean_margin(trials["none"]) < 0.02


def test_honest_prover_is_not_rejected_by_the_calibrated_policy(calibrated):
    assert calibrated["none"]["verdict"] in ("accept", "inconclusive"), calibrated["none"]["reason"]
    assert calibrated["none"]["accept_rate"] > 0.99


@pytest.mark.parametrize("attack", [*CERTAIN, *PROBABLE])
def test_result_of_every_attack_lies_under_its_name(detection, trials, attack):
    folder, _ = detection
    prover, verifier = trials["none"]["inference_device"], trials["none"]["verification_device"]
    stem = f"smollm2-135m_{attack}_{prover}_to_fp_{verifier}"
    trial, summary = load(folder / f"{stem}_trial1.json"), load(folder / f"{stem}_summary.json")
    assert trial["attack"] == summary["attack"] == attack
    assert trial["expected_result"] == summary["expected_result"] == "REJECT"
    assert trial["inference"]["generated_length"] == N_OUTPUT
    # Whatever was run, the recording claims the same as the honest one.
    honest, claimed = trials["none"]["context"], trial["context"]
    for key in ("model", "sampling"):
        assert claimed[key] == honest[key]
    assert claimed["prover"]["device"] == honest["prover"]["device"]
    assert claimed["prover"]["schedule"] == honest["prover"]["schedule"]


@pytest.mark.parametrize("attack", CERTAIN)
def test_calibrated_policy_rejects(calibrated, attack):
    assert calibrated[attack]["verdict"] == "reject", calibrated[attack]["reason"]
    assert 0 <= calibrated[attack]["decided_after"] <= N_OUTPUT


@pytest.mark.parametrize("attack", PROBABLE)
def test_tokens_chosen_otherwise_have_larger_margins(trials, attack):
    honest, cheating = mean_margin(trials["none"]), mean_margin(trials[attack])
    # Over so few tokens the Q8_0 model may choose every one as the F16 model does.
    assert cheating >= honest if attack == "cheap-tokens-q8_0" else cheating > 2 * honest, PROBABLE[attack]


@pytest.mark.parametrize("attack", PROBABLE)
def test_tokens_chosen_otherwise_leave_the_states_honest(policies, attack):
    assert policies[attack]["paper"]["accept_rate"] > 0.9


@pytest.mark.parametrize("attack", ["weights-bf16", "scaled-states"])
def test_paper_alone_misses(policies, attack):
    """A known limit of judging pairs by quoted thresholds: a change here is good news, and belongs into the documentation."""
    assert policies[attack]["paper"]["verdict"] == "accept"
    assert 0.9 < policies[attack]["paper"]["accept_rate"] <= 1


@pytest.mark.parametrize("attack", ["weights-q8_0", "weights-q4_0", "skipped-blocks", "random-tokens", "other-text", "missing-rows"])
def test_paper_rejects(policies, attack):
    assert policies[attack]["paper"]["verdict"] == "reject", policies[attack]["paper"]["reason"]


def test_report_tells_attacks_from_honest_runs(run, detection, trials):
    folder, ran = detection
    done = run("experiment", "report", folder)
    assert done.code == 0 and done.out == ran.out
    assert "none (honest)" in done.out and "areas under curves (95 %)" in done.out
    report = json.loads(run("experiment", "report", folder, "--json").out)
    entries = {entry["attack"]: entry for entry in report["detection"]}
    assert next(iter(entries)) == "none" and set(entries) == {"none", *CERTAIN, *PROBABLE}
    for attack, entry in entries.items():
        assert entry["mean_margin"] == pytest.approx(mean_margin(trials[attack]), rel=1e-4, abs=1e-6)
        for policy in ("paper", "reference", "calibrated"):
            assert entry["verdicts"][policy]["n"] == 1
    assert entries["weights-q4_0"]["element_error_one_position"]["auc"] > 0.99
    assert [look["reject_rate"] for look in entries["weights-q4_0"]["short_looks"]] == [1, 1, 1]
    assert [look["reject_rate"] for look in entries["none"]["short_looks"]] == [0, 0, 0]
    assert 0.3 < entries["other-seed"]["element_error_one_position"]["auc"] < 0.7


def test_attack_run_makes_a_recording_that_verify_rejects(run, model, tmp_path):
    options = ("--model", model, "--prompt", "Name three uses of a water wheel.", "--output-tokens", 48, "--ignore-end", "--out", tmp_path)
    done = run("attack", "run", "weights-q4_0", *options)
    assert done.code == 0 and done.out == "", done.err
    assert "weights-q4_0" in done.err and "+ 48 tokens" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"trace.safetensors", "text.txt", "inference.json"}
    assert load(tmp_path / "inference.json")["model"]["weight_type"].lower() == "f16"
    done = run("verify", tmp_path, "--model", model)
    assert done.code == REJECTED and done.err == ""
    assert "reject (paper policy): only" in done.out


# The published experiments


@pytest.mark.parametrize(
    "config, options, n_cases",
    [("exp1", (), 1), ("exp3", (), 3), ("exp4", ("--verifiers", 1), 6)],
)
def test_experiment_comes_to_what_it_expects(run, tmp_path, config, options, n_cases):
    done = experiment(run, f"configs/{config}.yaml", tmp_path, "--trials", 1, "--output-tokens", 24, *options)
    cases = summaries(tmp_path)
    assert len(cases) == n_cases
    for case in cases:
        assert case["experiment"] == config and case["num_trials"] == 1
        assert case["aggregate"]["as_expected_rate"] == 1, (case["attack"], case["aggregate"])
        same = case["inference_device"] == case["verification_device"]
        assert same == (config != "exp4")
    assert done.out.startswith(f"{config}: {cases[0]['title']}\n\nprover ")


def test_lazy_verifiers_are_found_within_three_tasks(run, tmp_path):
    done = experiment(run, "configs/exp5.yaml", tmp_path, "--output-tokens", 24)
    first = {case["lazy_verifier"]: case["aggregate"]["first_as_expected"] for case in summaries(tmp_path)}
    assert set(first) == set(LAZY)
    # What is made of the prover's states is as right as these are: only the trap of the last task tells.
    assert first.pop("invents-states") == 3
    assert first == {"copies-prover": 1, "copies-verifier": 1, "answers-blindly": 1, "runs-quantized": 1}
    for lazy in LAZY:
        line = next(line for line in done.out.splitlines() if f"  {lazy}  " in line)
        assert line.endswith(f"in task {3 if lazy == 'invents-states' else 1}")


def test_provers_of_false_alarms_differ_trial_by_trial(run, tmp_path):
    options = ("--prover", "cpu:haswell", "--verifier", "cpu:haswell", "--verifiers", 1, "--trials", 4, "--output-tokens", 12)
    experiment(run, "configs/false-alarms.yaml", tmp_path, *options)
    trials = [load(tmp_path / f"smollm2-135m_cpu:haswell_to_cpu:haswell_trial{i}.json") for i in (1, 2, 3, 4)]
    assert [trial["condition"] for trial in trials] == ["default", "no flash attention", "F32 cache", "one thread"]
    provers = [trial["context"]["prover"]["schedule"] for trial in trials]
    assert provers[1]["flash_attention"] == "off" and provers[2]["cache"] == "f32" and provers[3]["threads"] == 1
    for trial in trials:
        verifier = trial["verifiers"][0]["schedule"]
        assert verifier["flash_attention"] != "off" and verifier["cache"] == "f16"
        assert trial["summary"]["final_verdict"] == "PASS"


def test_verifiers_on_several_devices_agree_on_an_honest_prover(run, tmp_path):
    devices = {device["name"]: device["can_run"] for device in json.loads(run("devices", "--json").out)["devices"]}
    wanted = ["cpu:haswell", "cpu:sse42", "blas"]
    if not all(devices.get(device) for device in wanted):
        pytest.skip(f"not all of {', '.join(wanted)} run here")
    experiment(run, "configs/exp6.yaml", tmp_path, "--trials", 1, "--output-tokens", 16)
    (case,) = summaries(tmp_path)
    assert case["aggregate"]["as_expected_rate"] == 1 and case["num_verifiers_per_trial"] == 4
    (trial,) = case["trials"]
    assert [verifier["verification_device"] for verifier in trial["verifiers"]] == ["cpu", *wanted]
    # Each computed for itself: no two come to the same errors.
    errors = [verifier["policies"]["paper"]["per_capture_point"]["24"]["relative_error"] for verifier in trial["verifiers"]]
    assert len(set(errors)) == 4
    for verifier in trial["verifiers"]:
        assert verifier["verdict"] == "PASS"


# Settings that must not mix


def test_calibration_that_earlier_results_lack_does_not_mix_with_them(run, tmp_path):
    short = ("--trials", 1, "--scenario", 1, "--verifiers", 1, "--output-tokens", 4)
    experiment(run, "configs/exp2.yaml", tmp_path, *short)
    done = run("experiment", "run", "configs/exp2.yaml", "--out", tmp_path, *short, "--calibration", CALIBRATION)
    assert_refused(done, "other settings", "--out")


def test_calibration_of_another_model_is_refused(run, tmp_path):
    other = load(ROOT / CALIBRATION)
    digest = other["model"]["digest"]
    other["model"]["digest"] = "0123456789abcdef" * 4
    file = tmp_path / "other.json"
    file.write_text(json.dumps(other))
    short = ("--trials", 1, "--scenario", 1, "--verifiers", 1, "--output-tokens", 4)
    done = run("experiment", "run", "configs/exp2.yaml", "--out", tmp_path / "out", *short, "--calibration", file)
    assert_refused(done, digest, other["model"]["digest"])
