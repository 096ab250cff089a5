"""Proofs of other methods: built, printed, read and judged by the command, on states that no model computed."""

import base64
import json

import numpy as np
import pytest

import synthetic_trace
from conftest import REJECTED, assert_refused, assert_usage

N_ROWS, WIDTH, BATCH, TOPK = 70, 640, 32, 128
STATES = synthetic_trace.gaussian_bf16(N_ROWS, WIDTH, 1)
# Another honest device: the last bit of every fourth element or so is another one.
NOISE = np.random.default_rng(2).integers(0, 4, STATES.shape) == 0


@pytest.fixture
def trace(tmp_path):
    return synthetic_trace.write(tmp_path / "prover.safetensors", STATES)


@pytest.fixture
def verifiers(tmp_path):
    return synthetic_trace.write(tmp_path / "verifier.safetensors", STATES ^ NOISE)


@pytest.fixture
def build(run):
    def call(trace, *options):
        done = run("proof", "toploc", "build", trace, *options)
        assert done.code == 0, done.err
        assert done.err == ""
        return done.out

    return call


@pytest.fixture
def proofs(build, trace, tmp_path):
    path = tmp_path / "proofs.txt"
    path.write_text(build(trace))
    return path


@pytest.fixture
def verify(run):
    def call(*arguments):
        return run("proof", "toploc", "verify", *arguments)

    return call


def coefficients(line):
    return np.frombuffer(base64.b64decode(line, validate=True), dtype=">u2")


def test_proofs_are_lines_of_base64(build, trace):
    lines = build(trace).splitlines()
    assert [len(line) for line in lines] == [344] * 3
    assert all(coefficients(line)[0] == 65497 and coefficients(line).max() <= 65497 for line in lines)


def test_json_is_a_list_of_the_same_proofs(build, trace):
    assert json.loads(build(trace, "--json")) == build(trace).splitlines()


def test_batches_and_values_are_as_asked(build, trace):
    lines = build(trace, "--decode-batching-size", 7, "--topk", 16).splitlines()
    assert len(lines) == 10
    assert {len(coefficients(line)) for line in lines} == {17}


def test_tie_rules_take_other_values_of_equal_size(build, trace):
    assert build(trace) == build(trace, "--tie-rule", "lowest-index")
    assert build(trace) != build(trace, "--tie-rule", "torch-cpu")


def test_largest_value_alone_is_the_proof_of_topk_1(build, trace):
    expected = []
    for first in range(0, N_ROWS, BATCH):
        chunk = STATES[first : first + BATCH].ravel()
        expected.append(chunk[np.argmax(chunk & 0x7FFF)])
    assert [coefficients(line)[1] for line in build(trace, "--topk", 1).splitlines()] == expected


def test_own_states_are_accepted_without_error(verify, proofs, trace):
    done = verify(proofs, trace, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["verdict"] == "accept"
    assert result["reason"] == "all 3 chunks pass"
    assert (result["decode_batching_size"], result["topk"], result["tie_rule"]) == (BATCH, TOPK, "lowest-index")
    assert result["thresholds"] == {"exponent_mismatches": 38, "mantissa_mean": 10, "mantissa_median": 8}
    assert [(chunk["first_row"], chunk["n_rows"]) for chunk in result["chunks"]] == [(0, 32), (32, 32), (64, 6)]
    for chunk in result["chunks"]:
        assert (chunk["exponent_mismatches"], chunk["mantissa_mean"], chunk["mantissa_median"], chunk["failure"]) == (0, 0, 0, "")


def test_another_honest_device_is_accepted_with_an_error(verify, proofs, verifiers):
    done = verify(proofs, verifiers, "--json")
    assert done.code == 0, done.out
    for chunk in json.loads(done.out)["chunks"]:
        assert 0.1 < chunk["mantissa_mean"] < 0.5


def test_table_names_chunks_and_verdict(verify, proofs, verifiers):
    done = verify(proofs, verifiers)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].split()[0] == "0-31" and lines[3].split()[0] == "64-69"
    assert lines[-1] == "accept (TOPLOC): all 3 chunks pass"


def test_other_states_are_rejected(verify, proofs, tmp_path):
    other = synthetic_trace.write(tmp_path / "other.safetensors", synthetic_trace.gaussian_bf16(N_ROWS, WIDTH, 3))
    done = verify(proofs, other)
    assert done.code == REJECTED, done.err
    assert done.out.splitlines()[-1].startswith("reject (TOPLOC): 3 of 3 chunks fail, the first being rows 0 to 31: ")
    result = json.loads(verify(proofs, other, "--json").out)
    assert result["verdict"] == "reject"
    assert all(chunk["exponent_mismatches"] > 100 for chunk in result["chunks"])


def test_json_list_of_proofs_is_read(verify, build, trace, tmp_path):
    (tmp_path / "proofs.json").write_text(build(trace, "--json"))
    assert verify(tmp_path / "proofs.json", trace).code == 0


def test_thresholds_are_named_or_given(verify, proofs, verifiers):
    assert json.loads(verify(proofs, verifiers, "--thresholds", "deployed", "--json").out)["thresholds"] == {
        "exponent_mismatches": 60,
        "mantissa_mean": 40,
        "mantissa_median": 40,
    }
    done = verify(proofs, verifiers, "--mantissa-mean", 0.05)
    assert done.code == REJECTED
    assert "> 0.05" in done.out
    done = verify(proofs, verifiers, "--exponent-mismatches", 0, "--mantissa-median", 0, "--json")
    assert json.loads(done.out)["thresholds"] == {"exponent_mismatches": 0, "mantissa_mean": 10, "mantissa_median": 0}


def test_states_of_16_bits_may_be_f16(build, verify, tmp_path):
    rows = np.random.default_rng(5).standard_normal((40, 256)).astype(np.float16)
    trace = synthetic_trace.write(tmp_path / "f16.safetensors", rows, states="f16")
    (tmp_path / "proofs").write_text(build(trace))
    assert verify(tmp_path / "proofs", trace).code == 0
    rows *= np.float16(1.2)
    assert verify(tmp_path / "proofs", synthetic_trace.write(tmp_path / "other.safetensors", rows, states="f16")).code == REJECTED


# Rejected: what a prover could send


def rejected(verify, path, text, trace, *options):
    path.write_text(text)
    done = verify(path, trace, *options)
    assert done.code == REJECTED, done.err
    return done.out.splitlines()[-1]


def test_missing_and_surplus_proofs_are_rejected(verify, proofs, trace):
    lines = proofs.read_text().splitlines(keepends=True)
    assert "there are 2 proofs for 3 chunks" in rejected(verify, proofs, "".join(lines[:2]), trace)
    assert "there are 0 proofs for 3 chunks" in rejected(verify, proofs, "", trace)
    assert "there are 0 proofs for 3 chunks" in rejected(verify, proofs, "[]", trace)
    assert "there are 4 proofs for 3 chunks" in rejected(verify, proofs, "".join(lines + lines[:1]), trace)


def test_null_and_constant_proofs_are_rejected(verify, proofs, trace):
    null = base64.b64encode(bytes(258)).decode()
    assert "it is a null proof" in rejected(verify, proofs, 3 * f"{null}\n", trace)
    constant = base64.b64encode(b"\xff\xd9\x40\x37" + bytes(254)).decode()
    assert "it is a constant" in rejected(verify, proofs, 3 * f"{constant}\n", trace, "--thresholds", "deployed")


def test_proofs_of_other_parameters_are_rejected(verify, build, proofs, trace):
    assert "it has 64 coefficients, not 128" in rejected(verify, proofs, build(trace, "--topk", 64), trace)
    assert "there are 5 proofs for 3 chunks" in rejected(verify, proofs, build(trace, "--decode-batching-size", 16), trace)


# Refused


def test_damaged_proofs_are_refused(verify, proofs, trace):
    text = proofs.read_text()
    for damaged, words in [
        (text[:-10], ("line 3", "335 characters, where base64 has a multiple of 4")),
        (text.replace("/9", "_9", 1), ("line 1", "is not base64 of 258 bytes")),
        (text + "\n", ("line 4", "0 bytes make no proof")),
        (text.replace("\n", "\r\n"), ("line 1", "345 characters, where base64 has a multiple of 4")),
        ("/9o=\n" + text, ("line 1", "2 bytes make no proof")),
        ("/9oAAQ==\n", ("line 1", "modulus 65498")),
        ("/9n/2Q==\n", ("line 1", "coefficient 0 is 65497")),
        ('["/9kAAQ==", 1]', ("element 1 is no string",)),
        ('["/9kAAQ=="', ("is not JSON",)),
    ]:
        proofs.write_bytes(damaged.encode())
        assert_refused(verify(proofs, trace), proofs, *words)


def test_missing_files_are_refused(run, verify, proofs, trace, tmp_path):
    missing = tmp_path / "missing"
    assert_refused(verify(missing, trace), missing)
    assert_refused(verify(proofs, missing), missing)
    assert_refused(run("proof", "toploc", "build", missing), missing)


def test_traces_without_rows_to_prove_are_refused(run, tmp_path):
    def refused(trace, *words):
        assert_refused(run("proof", "toploc", "build", trace), trace, *words)

    refused(synthetic_trace.write(tmp_path / "layer.safetensors", STATES, point="0"), "no states after the final norm", "--no-final")
    gap = [position for position in range(3, 3 + N_ROWS) if position != 9]
    refused(synthetic_trace.write(tmp_path / "gap.safetensors", STATES, positions=gap), "has states of 69 of 70 generated tokens")
    wide = np.zeros((40, 256), dtype=np.float32)
    refused(synthetic_trace.write(tmp_path / "f32.safetensors", wide, states="f32"), "--states bf16")
    infinite = STATES.copy()
    infinite[33, 5] = 0x7F80
    refused(synthetic_trace.write(tmp_path / "inf.safetensors", infinite), "rows 32 to 63: hold values that are not finite")
    refused(synthetic_trace.write(tmp_path / "short.safetensors", STATES[:1, :64]), "a chunk of 64 values has not the 128")


def test_impossible_options_are_refused(run, verify, proofs, trace):
    for options, words in [
        (("--topk", 0), ("topk 0",)),
        (("--topk", 70000), ("topk 70000",)),
        (("--decode-batching-size", 0), ("batches of 0 rows",)),
        (("--tie-rule", "cuda"), ("tie rule", "cuda", "torch-cpu")),
    ]:
        assert_refused(run("proof", "toploc", "build", trace, *options), *words)
    for options, words in [
        (("--thresholds", "lenient"), ("lenient", "paper", "deployed")),
        (("--exponent-mismatches", 128), ("128 exponent mismatches of 128 values",)),
        (("--mantissa-mean", -1), ("-1",)),
        (("--mantissa-median", "nan"), ("nan",)),
    ]:
        assert_refused(verify(proofs, trace, *options), *words)
    assert_usage(run("proof"), "subcommand")
    assert_usage(run("proof", "toploc"), "subcommand")
    assert_usage(run("proof", "toploc", "build"), "trace")
    assert_usage(verify(proofs), "trace")
    assert_usage(verify(proofs, trace, "--topk", "many"), "--topk")
