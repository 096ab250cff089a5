"""Methods of others as policies: real states judged by TOPLOC, DiFR and GRAIL, as a verdict, in evidence and in an experiment."""

import json
import shutil

import pytest

import safetensors_edit
from conftest import INCONCLUSIVE, REJECTED, ROOT, assert_refused

PROMPT = "Explain in a few sentences how a tidal mill grinds grain, and why it stands still twice a day."
N_OUTPUT = 48


@pytest.fixture(scope="module")
def infer(run, variants):
    def call(model, out, *options):
        done = run("infer", "--model", model, "--device", variants[0], "--prompt", PROMPT, "--output-tokens", N_OUTPUT, "--ignore-end",
                   "--out", out, *options)  # fmt: skip
        assert done.code == 0, done.err
        return out

    return call


@pytest.fixture(scope="module")
def honest(infer, model, tmp_path_factory):
    return infer(model, tmp_path_factory.mktemp("honest"))


@pytest.fixture(scope="module")
def quantised(run, infer, model, tmp_path_factory):
    """A prover that ran Q4_0 weights."""
    folder = tmp_path_factory.mktemp("q4_0")
    done = run("model", "quantize", model, folder / "q4_0.gguf", "--type", "q4_0")
    assert done.code == 0, done.err
    return infer(folder / "q4_0.gguf", folder / "run")


@pytest.fixture(scope="module")
def verify(run, model, variants):
    def call(folder, policy, *options):
        return run("verify", folder, "--model", model, "--device", variants[1], "--other-model", "--policy", policy, *options)

    return call


@pytest.fixture(scope="module")
def judge(verify):
    def call(folder, policy, *options):
        done = verify(folder, policy, "--json", *options)
        result = json.loads(done.out)
        assert done.code == {"accept": 0, "reject": REJECTED, "inconclusive": INCONCLUSIVE}[result["verdict"]], done.err
        assert (result["policy"], result["policy_version"]) == (policy, 1)
        return result

    return call


def test_toploc_tells_an_honest_prover_from_one_with_quantised_weights(judge, honest, quantised):
    accepted = judge(honest, "toploc")
    assert accepted["verdict"] == "accept" and accepted["reason"] == "all 2 chunks pass"
    assert accepted["thresholds"] == {"batch": 32, "exponent_mismatches": 38, "mantissa_mean": 10, "mantissa_median": 8, "topk": 128}
    assert (accepted["accept_count"], accepted["total_count"], accepted["accept_rate"]) == (2, 2, 1)
    assert accepted["measures"]["bytes"] == 2 * 258
    # Two-sided: an error of nothing would mean that nothing was compared across devices.
    assert 0.01 < accepted["measures"]["mantissa_mean"] < 2
    assert 0.001 < accepted["score"] < 0.2

    other = judge(quantised, "toploc")
    assert 0.5 < other["score"] < 10
    assert 5 < other["measures"]["mantissa_mean"] < 40


def test_toploc_measures_what_its_proofs_measure(run, judge, honest, tmp_path):
    own = tmp_path / "own.safetensors"
    result = judge(honest, "toploc", "--keep", own)
    (tmp_path / "proofs").write_text(run("proof", "toploc", "build", honest / "trace.safetensors").out)
    done = run("proof", "toploc", "verify", tmp_path / "proofs", own, "--json")
    assert done.code == 0, done.err
    chunks = json.loads(done.out)["chunks"]
    for name in ("exponent_mismatches", "mantissa_mean", "mantissa_median"):
        assert result["measures"][name] == pytest.approx(max(chunk[name] for chunk in chunks), rel=1e-5)


def test_parameters_may_be_others_than_published(judge, honest):
    strict = judge(honest, "toploc", "--parameter", "mantissa_mean=0", "--parameter", "batch=48")
    assert strict["verdict"] == "reject" and "mean mantissa error" in strict["reason"] and "> 0" in strict["reason"]
    assert strict["thresholds"]["batch"] == 48 and strict["total_count"] == 1


def test_pairs_are_measured_and_not_judged(judge, verify, honest):
    result = judge(honest, "toploc")
    assert list(result["per_capture_point"]) == ["0", "8", "16", "24", "final"]
    for point in result["per_capture_point"].values():
        assert point["total_count"] == 0 and point["n_elements"] == N_OUTPUT * 576
    lines = verify(honest, "toploc").out.splitlines()
    assert lines[-1] == "accept (toploc policy): all 2 chunks pass"
    assert [line.split()[-2:] for line in lines if line.split()[:1] in (["0"], ["final"])] == [["-", "-"], ["-", "-"]]


def test_own_policies_have_no_score(judge, honest):
    result = judge(honest, "paper")
    assert result["score"] is None and result["measures"] is None


def test_difr_scores_and_judges_only_by_a_threshold_that_is_given(judge, honest, quantised):
    for policy in ("activation-difr", "token-difr"):
        result = judge(honest, policy)
        assert result["verdict"] == "inconclusive" and "no published threshold" in result["reason"]
        other = judge(quantised, policy)
        assert 0 <= result["score"] < other["score"]
        between = (result["score"] + other["score"]) / 2
        assert judge(honest, policy, "--parameter", f"threshold={between}")["verdict"] == "accept"
        assert judge(quantised, policy, "--parameter", f"threshold={between}")["verdict"] == "reject"
    assert judge(honest, "activation-difr")["measures"]["bytes"] == 2 * 8 * N_OUTPUT
    assert 0.8 * N_OUTPUT < judge(honest, "token-difr")["measures"]["exact_matches"] <= N_OUTPUT


def test_grail_accepts_quantised_weights_too(judge, honest, quantised):
    """Its tolerance is above what sketches come to: a property of the method that a comparison must show."""
    accepted = judge(honest, "grail")
    assert accepted["verdict"] == "accept" and accepted["reason"] == "all 32 positions drawn pass"
    other = judge(quantised, "grail")
    assert other["verdict"] == "accept"
    assert accepted["score"] < other["score"] < 1
    assert judge(honest, "grail", "--prefix", 31)["verdict"] == "reject"


def test_sampling_is_the_business_of_token_difr_alone(judge, honest, tmp_path):
    # The trace says another seed than its tokens were chosen with.
    folder = tmp_path / "other-seed"
    shutil.copytree(honest, folder)
    metadata, tensors = safetensors_edit.load(folder / "trace.safetensors")
    metadata["sampling"] = json.dumps(json.loads(metadata["sampling"]) | {"seed": 99})
    safetensors_edit.save(folder / "trace.safetensors", metadata, tensors)
    assert judge(folder, "paper")["verdict"] == "reject"
    assert judge(folder, "toploc")["verdict"] == "accept"
    assert judge(folder, "token-difr")["score"] > 3 * judge(honest, "token-difr")["score"]


# Refused


def test_what_a_method_cannot_judge_is_refused_before_the_prefill(verify, infer, model, honest, tmp_path):
    assert_refused(verify(honest, "toploc", "--no-final"), "toploc", "final norm")
    assert_refused(verify(honest, "grail", "--depth", 16), "grail", "final norm")
    assert_refused(verify(honest, "token-difr", "--check", "states"), "token-difr", "how tokens were chosen")
    assert_refused(verify(honest, "toploc", "--pooled"), "toploc", "judges no pools")
    wide = infer(model, tmp_path / "f32", "--states", "f32")
    assert_refused(verify(wide, "toploc"), "toploc", "--states bf16")
    assert verify(wide, "activation-difr").code == INCONCLUSIVE


def test_wrong_parameters_are_refused(verify, honest):
    for policy, parameter, words in [
        ("toploc", "tokp=12", ("tokp", "topk, batch")),
        ("toploc", "topk=0", ("topk = 0",)),
        ("toploc", "topk=many", ("topk=many", "NAME=VALUE")),
        ("toploc", "topk", ("NAME=VALUE",)),
        ("toploc", "=1", ("NAME=VALUE",)),
        ("toploc", "exponent_mismatches=128", ("128 exponent mismatches",)),
        ("paper", "topk=1", ("--parameter", "methods of others")),
    ]:
        assert_refused(verify(honest, policy, "--parameter", parameter), *words)
    assert_refused(verify(honest, "toploc", "--parameter", "topk=16", "--parameter", "topk=16"), "topk", "twice")
    assert_refused(verify(honest, "lenient"), "lenient", "paper", "toploc")


# Evidence and experiments


def test_evidence_of_a_method_is_repeated_with_its_parameters(run, infer, model, variants, tmp_path):
    assert run("key", "generate", tmp_path / "prover", "--no-passphrase").code == 0
    folder = infer(model, tmp_path / "run", "--receipt", tmp_path / "prover")
    checked = run("receipt", "check", folder / "receipt.json", folder / "trace.safetensors", "--key", tmp_path / "prover.pub", "--model", model,
                  "--device", variants[1], "--policy", "toploc", "--parameter", "mantissa_mean=0")  # fmt: skip
    assert checked.code == REJECTED, checked.err
    evidence = folder / "receipt.json.evidence.json"
    policy = json.loads(evidence.read_text())["policy"]
    assert (policy["name"], policy["unit"], policy["thresholds"]["mantissa_mean"], policy["thresholds"]["topk"]) == ("toploc", "response", 0, 128)
    again = run("receipt", "recheck", evidence, "--model", model, "--device", variants[1])
    assert again.code == REJECTED and "The same verdict" in again.err
    assert again.out.splitlines()[-1] == checked.out.splitlines()[-1]


def test_experiment_judges_by_the_methods_that_it_names(run, tmp_path):
    config = tmp_path / "peers.yaml"
    config.write_text(
        f"""
experiment: peers
prompts: {ROOT / "configs" / "prompts.yaml"}
scenario: 1
trials: 1
verifiers: 1
output_tokens: 40
check_sampling: true
policy: toploc
peers:
  toploc: {{}}
  activation-difr: {{k: 16, threshold: 1000}}
  token-difr: {{}}
  grail: {{beacon: 7}}
"""
    )
    done = run("experiment", "run", config, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (path,) = (tmp_path / "out").glob("*_trial1.json")
    verifier = json.loads(path.read_text())["verifiers"][0]
    assert set(verifier["policies"]) == {"paper", "reference", "toploc", "activation-difr", "token-difr", "grail"}
    assert verifier["verdict"] == "PASS"
    assert verifier["policies"]["activation-difr"]["measures"]["bytes"] == 40 * 32
    assert verifier["policies"]["grail"]["thresholds"] == {"beacon": 7, "challenge": 2}
    assert verifier["policies"]["token-difr"]["verdict"] == "inconclusive"
    assert verifier["statistics"]["per_layer"]["token_3_layer_24"]["verdict"] is None
    assert verifier["statistics"]["summary"]["accept_rate_without_embeddings"] is None
