"""A model of random weights is made as asked for, generates, and is verified as a real one is."""

import json
import os
import resource
import signal
import subprocess

import pytest
from safetensors import safe_open

from conftest import assert_refused, assert_usage

PROMPT = "Name three uses of a water wheel."
N_VOCAB = 49152  # of SmolLM2's tokenizer


def synth(run, model, out, *options, like="qwen2-tiny"):
    done = run("model", "synth", "--like", like, "--tokenizer", model, "--out", out, "--json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope="module")
def made(run, model, tmp_path_factory):
    """A model of eight narrow blocks."""
    path = tmp_path_factory.mktemp("synth") / "made.gguf"
    synth(run, model, path, "--blocks", 8)
    return path


def infer(run, model, out, *options):
    done = run("infer", "--model", model, "--prompt", PROMPT, "--output-tokens", 32, "--ignore-end", "--out", out, "--json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_model_is_what_was_asked_for(run, model, tmp_path):
    path = tmp_path / "made.gguf"
    summary = synth(run, model, path, "--blocks", 3, "--width", 96, "--heads", 6, "--kv-heads", 3, "--feed-forward", 200, "--vocabulary", 50000, "--seed", 7, like="llama-tiny")
    assert summary["name"] == "llama-tiny with random weights, seed 7"
    expected = {"file": str(path), "like": "llama-tiny", "seed": 7, "architecture": "llama", "n_layer": 3, "width": 96, "n_vocab": 50000}
    assert expected.items() <= summary.items()
    inspected = json.loads(run("model", "inspect", path, "--json").out)
    matrices = 2 * 50000 * 96 + 3 * (2 * 96 * 96 + 2 * 48 * 96 + 3 * 200 * 96)
    assert inspected["parameters_by_type"] == summary["parameters_by_type"] == {"f16": matrices, "f32": 7 * 96}
    assert inspected["file_bytes"] == summary["file_bytes"] == path.stat().st_size
    assert inspected["has_chat_template"]


def test_same_seed_gives_the_same_file_and_another_seed_does_not(run, model, made, tmp_path):
    synth(run, model, tmp_path / "same.gguf", "--blocks", 8)
    synth(run, model, tmp_path / "other.gguf", "--blocks", 8, "--seed", 2)
    digest = [json.loads(run("model", "inspect", path, "--json").out)["digest"] for path in (made, tmp_path / "same.gguf", tmp_path / "other.gguf")]
    assert digest[0] == digest[1] != digest[2]


def test_honest_prover_is_accepted_and_one_with_another_seed_rejected(run, model, made, variants, tmp_path):
    infer(run, made, tmp_path / "honest", "--device", variants[0])
    done = run("verify", tmp_path / "honest", "--model", made, "--device", variants[1], "--json")
    assert done.code == 0, done.out + done.err
    points = json.loads(done.out)["per_capture_point"]
    assert 1e-5 < points["8"]["median_relative_error"] < 1e-2
    synth(run, model, tmp_path / "other.gguf", "--blocks", 8, "--seed", 2)
    infer(run, tmp_path / "other.gguf", tmp_path / "cheat", "--device", variants[0])
    done = run("verify", tmp_path / "cheat", "--model", made, "--other-model", "--device", variants[1], "--json")
    assert done.code == 1, done.out + done.err


def test_text_is_neither_one_token_again_and_again_nor_of_unused_ones(run, model, tmp_path):
    path = tmp_path / "padded.gguf"
    synth(run, model, path, "--vocabulary", 2 * N_VOCAB)
    infer(run, path, tmp_path / "run")
    assert len((tmp_path / "run" / "text.txt").read_bytes()) > 40
    with safe_open(tmp_path / "run" / "trace.safetensors", framework="numpy") as trace:
        tokens = trace.get_tensor("tokens")[-32:]
    assert len(set(tokens.tolist())) > 16
    assert tokens.max() < N_VOCAB


def test_memory_does_not_grow_with_the_model(verillm, model, tmp_path):
    path = tmp_path / "large.gguf"
    command = [str(verillm), "model", "synth", "--like", "llama-tiny", "--width", "1024", "--tokenizer", str(model), "--out", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert path.stat().st_size > 200e6
    assert 5e6 < 1024 * usage.ru_maxrss < 120e6  # libraries and tokenizer


def test_bad_requests_are_refused_and_write_nothing(run, model, tmp_path):
    def refuse(*options, like="llama-tiny", tokenizer=model):
        return run("model", "synth", "--like", like, "--tokenizer", tokenizer, "--out", tmp_path / "made.gguf", *options)

    assert_refused(refuse(like="qwen9"), '"qwen9"', "qwen2.5-7b", "llama-tiny")
    assert_refused(refuse("--width", 66), "width of 66", "4 heads")
    assert_refused(refuse("--kv-heads", 3), "3 key and value heads")
    assert_refused(refuse("--blocks", 513), "blocks of 513")
    assert_refused(refuse("--vocabulary", 1000), model, "49152 tokens", "vocabulary of 1000")
    assert_refused(refuse(tokenizer=tmp_path / "none.gguf"), tmp_path / "none.gguf", "no such model file")
    assert_usage(refuse("--seed", "seven"), "--seed")
    assert_usage(refuse("--seed", -1), "--seed")
    assert_usage(refuse("--vocabulary", 0), "--vocabulary")
    assert_usage(run("model", "synth", "--like", "llama-tiny"), "--out")
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_refused_and_kept(run, model, tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_text("mine")
    assert_refused(run("model", "synth", "--like", "llama-tiny", "--tokenizer", model, "--out", path), path, "exists already")
    assert path.read_text() == "mine"


def test_full_disk_is_an_error_that_leaves_nothing(run, model, tmp_path):
    def allow_4_mb():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, 1 << 22))

    path = tmp_path / "made.gguf"
    done = run("model", "synth", "--like", "llama-tiny", "--tokenizer", model, "--out", path, preexec_fn=allow_4_mb)
    assert_refused(done, path, "cannot write", "File too large")
    assert list(tmp_path.iterdir()) == []
