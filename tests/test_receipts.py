"""Receipts end to end: commit while generating, challenge, open, check, evidence; and the forgeries that must be refused."""

import base64
import json
import os
import shutil
import subprocess

import pytest
import safetensors_edit
from conftest import INCONCLUSIVE, INPUT, REJECTED, assert_refused, assert_usage

CALIBRATION = "configs/calibrations/smollm2-135m.json"
# A device that the shipped calibration has learned, under a name that does not depend on the machine.
DEVICE = "cpu:haswell"
PROMPT = "Name three uses of a water wheel, and explain how the oldest of them works."
N_OUTPUT = 64
BEACON = "5a" * 32
LATER = "2099-01-01T00:00:00Z"
NONCE = "c0ffee00"


@pytest.fixture(scope="module")
def keys(run, tmp_path_factory):
    """Folder with the secret keys prover and verifier, and their public keys."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("prover", "verifier", "stranger"):
        done = run("key", "generate", folder / name, "--no-passphrase")
        assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def infer(run, model, keys):
    def call(folder, *options):
        done = run("infer", "--model", model, "--device", DEVICE, "--prompt", PROMPT, "--output-tokens", N_OUTPUT, "--ignore-end",
                   "--out", folder, "--receipt", keys / "prover", *options)  # fmt: skip
        assert done.code == 0, done.err
        return folder

    return call


@pytest.fixture(scope="module")
def honest(infer, tmp_path_factory):
    """A recorded inference with its receipt."""
    return infer(tmp_path_factory.mktemp("receipts") / "honest", "--nonce", NONCE)


def challenge(run, folder, *options):
    file = folder / "challenge.json"
    options = options or ("--beacon", BEACON, "--beacon-time", LATER, "--positions", 16)
    done = run("receipt", "challenge", folder / "receipt.json", "--out", file, *options)
    assert done.code == 0, done.err
    return file


def opened(run, folder, *options):
    """The opening of a challenge to the folder's receipt."""
    done = run("receipt", "open", folder, "--challenge", challenge(run, folder, *options), "--out", folder / "opening")
    assert done.code == 0, done.err
    return folder / "opening"


@pytest.fixture(scope="module")
def opening(run, honest):
    return opened(run, honest)


@pytest.fixture(scope="module")
def check(run, model, keys):
    """Checks a folder's receipt and opening."""

    def call(folder, *options, key="prover", file="opening"):
        return run("receipt", "check", folder / "receipt.json", folder / file, "--key", keys / f"{key}.pub", "--challenge", folder / "challenge.json",
                   "--model", model, "--device", DEVICE, "--policy", CALIBRATION, *options)  # fmt: skip

    return call


@pytest.fixture
def forged(honest, opening, tmp_path):
    """A copy of the honest folder for a forger."""
    folder = tmp_path / "forged"
    shutil.copytree(honest, folder)
    return folder


def sign_again(run, keys, folder, key="prover"):
    """A receipt of whatever states the folder now has, signed by the prover who cheats."""
    for name in ("receipt.json", "receipt.json.minisig", "challenge.json", "opening"):
        (folder / name).unlink(missing_ok=True)
    done = run("receipt", "issue", folder, "--key", keys / key)
    assert done.code == 0, done.err


# An honest prover


def test_honest_receipt_is_accepted(check, honest, opening):
    done = check(honest, "--json")
    assert done.code == 0, done.out + done.err
    result = json.loads(done.out)
    assert result["verdict"] == "accept" and result["n_checked"] == 16
    assert list(result["per_capture_point"]) == ["0", "8", "16", "24", "final"]
    assert all(point["total_count"] == 16 for point in result["per_capture_point"].values())
    # 16 positions x 5 capture points x 576 states of 2 bytes, and a proof of less than a tenth.
    rows = 16 * 5 * 576 * 2
    assert result["opening_bytes"] == opening.stat().st_size and rows < result["opening_bytes"] < 1.1 * rows


def test_whole_trace_serves_as_an_opening(check, honest, opening):
    done = check(honest, "--json", file="trace.safetensors")
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["n_checked"] == N_OUTPUT


def test_receipt_is_what_minisign_accepts(honest, keys):
    def minisign(key):
        return subprocess.run(["minisign", "-Vm", honest / "receipt.json", "-p", keys / f"{key}.pub"], capture_output=True)

    assert minisign("prover").returncode == 0
    assert b"verillm receipt of 20" in minisign("prover").stdout
    assert minisign("stranger").returncode != 0


def test_receipt_is_canonical_json_and_says_what_was_asked(honest):
    text = (honest / "receipt.json").read_text()
    receipt = json.loads(text)
    assert text == json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert receipt["nonce"] == NONCE and len(receipt["tokens"]) - receipt["n_prompt"] == N_OUTPUT
    assert receipt["sampling"]["seed"] == 1 and receipt["device"]["name"] == DEVICE


def test_receipt_can_be_shown(run, honest, keys):
    done = run("receipt", "show", honest / "receipt.json", "--key", keys / "prover.pub")
    assert done.code == 0 and NONCE in done.out and "by key" in done.out
    shown = json.loads(run("receipt", "show", honest / "receipt.json", "--json").out)
    assert shown["signature_checked"] is False and len(shown["digest"]) == 64


def test_commitment_while_generating_is_that_of_the_trace(run, keys, honest, forged):
    root = json.loads((honest / "receipt.json").read_text())["root"]
    sign_again(run, keys, forged)
    assert json.loads((forged / "receipt.json").read_text())["root"] == root


def test_verifier_draws_its_own_challenge(run, check, honest, opening, keys, forged):
    opened(run, forged, "--draw", keys / "verifier", "--beacon-time", LATER, "--positions", 8)
    drawn = json.loads((forged / "challenge.json").read_text())
    assert drawn["drawn"]["public_key"] and len(drawn["beacon"]) == 128
    done = check(forged, "--json")
    assert done.code == 0 and json.loads(done.out)["n_checked"] == 8
    drawn["beacon"] = "00" + drawn["beacon"][2:]
    (forged / "challenge.json").write_text(json.dumps(drawn, sort_keys=True, separators=(",", ":")))
    assert_refused(check(forged), "challenge", "not what the verifier's key draws")


def test_receipts_of_a_key_form_a_chain(run, infer, honest, keys, check, tmp_path):
    first = infer(tmp_path / "first", "--nonce", "01")
    second = infer(tmp_path / "second", "--nonce", "02")
    files = [folder / "receipt.json" for folder in (first, second)]
    done = run("receipt", "chain", *files, "--key", keys / "prover.pub")
    assert done.code == 0 and "2 receipts" in done.out, done.err
    assert_refused(run("receipt", "chain", *reversed(files), "--key", keys / "prover.pub"), files[0], "follows")
    assert_refused(run("receipt", "chain", honest / "receipt.json", files[1], "--key", keys / "prover.pub"), files[1], "not the one given")
    opened(run, second)
    assert check(second, "--previous", files[0], "--nonce", "02").code == 0
    assert_refused(check(second, "--previous", honest / "receipt.json"), "not the one given")
    assert_refused(check(second, "--nonce", "01"), "another request")


def test_prompt_of_the_request_is_held_against_the_receipt(check, honest, opening, tmp_path):
    (tmp_path / "prompt").write_text(PROMPT)
    assert check(honest, "--prompt-file", tmp_path / "prompt").code == 0
    (tmp_path / "prompt").write_text(PROMPT + " Be brief.")
    assert_refused(check(honest, "--prompt-file", tmp_path / "prompt"), "the receipt is of a prompt")


def test_prompt_tokens_that_the_client_did_not_ask_for_are_refused(run, check, keys, model, forged, tmp_path):
    (tmp_path / "prompt").write_text(PROMPT)
    assert_refused(check(forged, "--prompt-file", tmp_path / "prompt", "--raw"), "needs --raw")
    # A prover that answers another prompt honestly, and signs the digest of the one that it was sent.
    done = run("infer", "--model", model, "--device", DEVICE, "--prompt", "Talk like a pirate. " + PROMPT, "--output-tokens", 8,
               "--ignore-end", "--out", forged, "--receipt", keys / "prover")  # fmt: skip
    assert done.code == 0, done.err
    inference = json.loads((forged / "inference.json").read_text())
    inference["prompt"] = PROMPT
    (forged / "inference.json").write_text(json.dumps(inference))
    sign_again(run, keys, forged)
    opened(run, forged)
    assert check(forged).code in (0, INCONCLUSIVE)
    assert_refused(check(forged, "--prompt-file", tmp_path / "prompt"), "prompt tokens are not the")


# Forgeries of files


def flip(path, offset, bit=0):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["receipt.json", "receipt.json.minisig", "challenge.json", "opening"])
def test_changed_bit_is_refused(check, forged, name):
    size = (forged / name).stat().st_size
    sound = (forged / name).read_bytes()
    for offset in (0, size // 3, size // 2, size - 2):
        flip(forged / name, offset)
        done = check(forged)
        # The untrusted comment of a signature is as its name says.
        comment = name.endswith("minisig") and offset < len(b"untrusted comment: ")
        assert done.code == INPUT or comment, (offset, done.out)
        (forged / name).write_bytes(sound)


def test_changed_key_is_refused(check, forged, keys, tmp_path):
    assert_refused(check(forged, key="stranger"), "key")


def test_opening_of_another_receipt_is_refused(run, check, infer, forged, tmp_path):
    other = infer(tmp_path / "other", "--seed", 7)
    shutil.copy(opened(run, other), forged / "opening")
    assert_refused(check(forged), "opening: is of the receipt")


def test_challenge_of_another_receipt_is_refused(run, check, infer, forged, tmp_path):
    other = infer(tmp_path / "other", "--seed", 7)
    shutil.copy(challenge(run, other), forged / "challenge.json")
    assert_refused(check(forged), "challenge: is of the receipt")


def test_positions_that_the_beacon_does_not_give_are_refused(run, check, forged):
    """The prover opens what suits it under another beacon."""
    opened(run, forged, "--beacon", "00" * 32, "--beacon-time", LATER, "--positions", 16)
    challenge(run, forged)
    assert_refused(check(forged), "not the 16 challenged ones")


def test_beacon_from_before_the_receipt_is_refused(run, check, forged):
    early = ("--beacon", BEACON, "--beacon-time", "2020-01-01T00:00:00Z")
    done = run("receipt", "challenge", forged / "receipt.json", *early)
    assert_refused(done, "known before the receipt")
    text = (forged / "challenge.json").read_text().replace(LATER, "2020-01-01T00:00:00Z")
    (forged / "challenge.json").write_text(text)
    assert_refused(check(forged), "known before the receipt")


def test_edited_tokens_are_refused(run, check, forged, keys):
    receipt = json.loads((forged / "receipt.json").read_text())
    receipt["tokens"][-1] += 1
    (forged / "receipt.json").write_text(json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    assert_refused(check(forged), "signature")


@pytest.mark.parametrize("change", [lambda text: text + "\n", lambda text: text.replace(":1,", ":1.0,", 1), lambda text: text[:-1] + ',"zz":1}', lambda text: text[:-1]])
def test_other_spelling_of_a_receipt_is_refused_though_it_is_signed(check, forged, keys, change):
    """Signed anew with the real minisign: the receipt itself is refused."""
    (forged / "receipt.json").write_text(change((forged / "receipt.json").read_text()))
    password_free = forged / "minisign.key"
    subprocess.run(["minisign", "-G", "-W", "-p", forged / "minisign.pub", "-s", password_free], check=True, capture_output=True)
    subprocess.run(["minisign", "-S", "-s", password_free, "-m", forged / "receipt.json"], check=True, capture_output=True)
    shutil.copy(forged / "minisign.pub", keys / "forger.pub")
    assert_refused(check(forged, key="forger"), "receipt")


# Forgeries of states, signed by a prover who cheats


def rejected(run, check, folder):
    opened(run, folder)
    done = check(folder, "--json")
    assert done.code == REJECTED, done.out + done.err
    return json.loads(done.out)


def rewrite_rows(folder, change):
    """Changes the rows of every capture point beyond the embeddings."""
    metadata, tensors = safetensors_edit.load(folder / "trace.safetensors")
    for name, tensor in tensors.items():
        if name.startswith("hidden_states.") and not name.endswith(".0"):
            tensor.data = change(tensor)
    safetensors_edit.save(folder / "trace.safetensors", metadata, tensors)


def test_constant_rows_are_rejected(run, check, keys, forged):
    def constant(tensor):
        row_bytes = len(tensor.data) // tensor.shape[0]
        return tensor.data[:row_bytes] * tensor.shape[0]

    rewrite_rows(forged, constant)
    sign_again(run, keys, forged)
    assert rejected(run, check, forged)["decided_after"] <= 3


def test_rows_of_another_order_are_rejected(run, check, keys, forged):
    def reverse(tensor):
        row_bytes = len(tensor.data) // tensor.shape[0]
        return b"".join(tensor.data[i * row_bytes : (i + 1) * row_bytes] for i in reversed(range(tensor.shape[0])))

    rewrite_rows(forged, reverse)
    sign_again(run, keys, forged)
    rejected(run, check, forged)


@pytest.mark.parametrize("attack", ["replayed-states", "rescaled-states", "weights-q4_0"])
def test_states_of_other_runs_are_rejected(run, check, keys, model, tmp_path, attack):
    """Of another sequence, of a Q4_0 model rescaled to the honest norms by somebody who knows the policy, and of it as they are."""
    folder = tmp_path / attack
    done = run("attack", "run", attack, "--model", model, "--device", DEVICE, "--prompt", PROMPT, "--output-tokens", N_OUTPUT, "--ignore-end", "--out", folder)
    assert done.code == 0, done.err
    sign_again(run, keys, folder)
    rejected(run, check, folder)


def test_evidence_repeats_the_verdict_from_itself_and_the_model(run, check, keys, model, forged, tmp_path):
    rewrite_rows(forged, lambda tensor: bytes(len(tensor.data)))
    sign_again(run, keys, forged)
    result = rejected(run, check, forged)
    evidence = tmp_path / "evidence.json"
    shutil.move(forged / "receipt.json.evidence.json", evidence)
    shutil.rmtree(forged)

    def recheck(*options):
        return run("receipt", "recheck", evidence, "--model", model, "--device", DEVICE, *options)

    done = recheck("--json", "--key", keys / "prover.pub")
    assert done.code == REJECTED, done.err
    assert "The same verdict as in the evidence" in done.err
    again = json.loads(done.out)
    assert (again["verdict"], again["reason"]) == ("reject", result["reason"])
    assert_refused(recheck("--key", keys / "stranger.pub"), "another key")

    # Evidence against an honest prover cannot be made up: every piece of it is checked again.
    content = json.loads(evidence.read_text())
    opening = bytearray(base64.b64decode(content["opening"]))
    opening[-1000] ^= 1
    content["opening"] = base64.b64encode(opening).decode()
    evidence.write_text(json.dumps(content))
    assert_refused(recheck(), "not those that the receipt commits to")


# Use


def test_passphrase_protects_the_key(run, model, tmp_path):
    environment = {**os.environ, "VERILLM_PASSPHRASE": "correct horse"}
    assert run("key", "generate", tmp_path / "key", env=environment).code == 0
    infer = ("infer", "--model", model, "--prompt", "Hello", "--output-tokens", 2, "--out", tmp_path / "run", "--receipt", tmp_path / "key")
    assert run(*infer, env=environment).code == 0
    wrong = run(*infer, env={**os.environ, "VERILLM_PASSPHRASE": "wrong"})
    assert_refused(wrong, tmp_path / "key", "passphrase")


def test_missing_pieces_are_named(run, honest, opening, model, keys, tmp_path):
    key = ("--key", keys / "prover.pub", "--model", model)
    assert_refused(run("receipt", "check", honest / "receipt.json", opening, *key), "--challenge")
    assert_refused(run("receipt", "check", tmp_path / "missing", opening, *key), tmp_path / "missing")
    assert_refused(run("receipt", "check", honest / "receipt.json", tmp_path / "missing", *key, "--challenge", honest / "challenge.json"), tmp_path / "missing")
    assert_usage(run("receipt", "challenge", honest / "receipt.json"), "--beacon or --draw")
    assert_refused(run("receipt", "challenge", honest / "receipt.json", "--beacon", "00"), "beacon", "32 to 128")
    assert_refused(run("receipt", "issue", honest, "--key", keys / "prover"), "is there already")


# The verify-only library


def test_embedded_check_needs_no_model(verillm, honest, opening, keys):
    program = verillm.parent / "check_receipt"
    files = [honest / "receipt.json", honest / "receipt.json.minisig", keys / "prover.pub", honest / "challenge.json", opening]
    done = subprocess.run([program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "80 rows of 576 bf16 states opened" in done.stdout
    files[2] = keys / "stranger.pub"
    refused = subprocess.run([program, *files], capture_output=True, text=True)
    assert refused.returncode == 1 and "key" in refused.stderr


def test_verify_only_program_reaches_neither_engine_nor_signing_nor_files(verillm):
    """The example reads its files by streams of the C++ library; nothing else in it may."""
    program = verillm.parent / "check_receipt"
    wanted = subprocess.run(["nm", "-D", "--undefined-only", program], capture_output=True, text=True, check=True).stdout.split()
    assert "crypto_sign_verify_detached" in wanted
    for name in wanted:
        assert not name.startswith(("llama_", "ggml_", "gguf_")), name
        assert name not in ("open", "openat", "fopen", "mmap", "crypto_sign_detached", "crypto_sign_seed_keypair", "crypto_pwhash"), name
