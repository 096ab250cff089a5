"""Bad input: every refusal has its exit code, says in one line what is wrong, and leaves what was there before as it was."""

import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import safetensors_edit
from frames import frame
from conftest import INPUT, REJECTED, ROOT, WORKER, assert_refused, assert_usage

PYTHON = sys.executable

TIMEOUT = 5  # seconds; the shortest that workers can be given


def assert_worker_failed(done, *words):
    """Exit code 4 and a first line that names everything in `words`; the worker's last words may follow."""
    assert done.code == WORKER, done.err
    assert done.out == ""
    first = done.err.splitlines()[0]
    assert first.startswith("verillm: ")
    for word in words:
        assert str(word) in first


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def infer(run, model, tmp_path):
    """Runs infer with more options, into an empty folder that a refusal has to leave empty."""

    def call(*options, out=tmp_path / "out", prompt=("--prompt", "Hello"), model=model, **more):
        done = run("infer", "--model", model, *prompt, "--out", out, *options, **more)
        assert done.code == 0 or contents(tmp_path / "out") == {}
        return done

    return call


@pytest.fixture
def verify(run, model, damaged):
    """Verifies the damaged copy of the trace; whatever comes of it, nothing in the folder may change."""

    def call(*options):
        before = contents(damaged)
        done = run("verify", damaged, "--model", model, *options)
        assert contents(damaged) == before
        return done

    return call


@pytest.fixture
def trace_file(damaged):
    return damaged / "trace.safetensors"


# Models


@pytest.fixture
def no_memory_of_digests(tmp_path):
    """An environment whose cache is another one, so that the digests of passing files are not remembered in the real one."""
    return os.environ | {"VERILLM_CACHE": str(tmp_path / "cache")}


def test_missing_model_is_refused(run, infer, tmp_path):
    missing = tmp_path / "missing.gguf"
    assert_refused(infer(model=missing), missing, "no such model file")
    done = run("model", "inspect", missing)
    assert_refused(done, missing, "No such file")


def test_unknown_model_name_is_refused_with_the_known_ones(infer):
    assert_refused(infer(model="smollm9"), "smollm9", "smollm2-135m")


def test_model_cut_in_half_is_refused(run, infer, model, tmp_path, no_memory_of_digests):
    half = tmp_path / "half.gguf"
    with model.open("rb") as whole:
        half.write_bytes(whole.read(model.stat().st_size // 2))
    assert_refused(infer(model=half, env=no_memory_of_digests), half, "cut short", half.stat().st_size)
    assert_refused(run("model", "inspect", half), half, "cut short")
    half.unlink()


@pytest.mark.parametrize("size", [6, 24, 5000, 1_000_000])
def test_model_cut_in_the_header_is_refused(infer, model, tmp_path, no_memory_of_digests, size):
    cut = tmp_path / "cut.gguf"
    with model.open("rb") as whole:
        cut.write_bytes(whole.read(size))
    assert_refused(infer(model=cut, env=no_memory_of_digests), cut, "header", "cut short")


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04" + bytes(1000), b"Not a model.\n"])
def test_file_that_is_no_gguf_model_is_refused(run, infer, tmp_path, no_memory_of_digests, content):
    other = tmp_path / "other.gguf"
    other.write_bytes(content)
    assert_refused(infer(model=other, env=no_memory_of_digests), other, "no GGUF model")
    target = tmp_path / "target.gguf"
    assert_refused(run("model", "quantize", other, target, "--type", "q8_0"), other)
    assert not target.exists()


def test_folder_in_place_of_a_model_is_refused(infer, tmp_path):
    assert_refused(infer(model=tmp_path), tmp_path)


# Devices and options


def test_unknown_device_is_refused_with_the_known_ones(infer, verify):
    for done in (infer("--device", "warp:9"), verify("--device", "warp:9")):
        assert_refused(done, '"warp:9"', "cpu", "verillm devices")


def test_device_that_cannot_run_here_is_refused_with_the_reason(run, infer):
    listed = json.loads(run("devices", "--json").out)["devices"]
    cuda = next(device for device in listed if device["name"] == "cuda:0")
    if cuda["can_run"]:
        pytest.skip("there is a CUDA device here")
    assert_refused(infer("--device", "cuda:0"), "cuda:0", "cannot run here")


@pytest.mark.parametrize("interval", [-1, 0, 31])
def test_layer_interval_outside_the_model_is_refused(infer, verify, interval):
    for done in (infer("--layers-every", interval), verify("--layers-every", interval)):
        assert_refused(done, f"layer interval of {interval}", "1 to 30")


def test_depth_past_the_model_is_refused(verify):
    assert_refused(verify("--depth", 31), "--depth", '"31"', "0 to 30")


def test_prompt_longer_than_the_context_is_refused(infer, tmp_path):
    prompt = tmp_path / "long.txt"
    prompt.write_text("river " * 9000)
    assert_refused(infer(prompt=("--prompt-file", prompt)), "context of 8192", "shorten the prompt")


def test_empty_prompt_is_refused(infer, tmp_path):
    assert_refused(infer("--raw", prompt=("--prompt", "")), "prompt is empty")
    nothing = tmp_path / "nothing.txt"
    nothing.touch()
    assert_refused(infer("--raw", prompt=("--prompt-file", nothing)), "prompt is empty")


def test_refused_inference_leaves_the_earlier_one_in_its_folder_intact(run, model, damaged, tmp_path):
    prompt = tmp_path / "long.txt"
    prompt.write_text("river " * 9000)
    before = contents(damaged)
    for options in (["--prompt-file", prompt], ["--prompt", "", "--raw"], ["--prompt", "Hello", "--layers-every", 31]):
        done = run("infer", "--model", model, "--out", damaged, *options)
        assert done.code == INPUT
        assert contents(damaged) == before, options


def test_missing_prompt_file_is_refused(infer, tmp_path):
    missing = tmp_path / "missing.txt"
    assert_refused(infer(prompt=("--prompt-file", missing)), missing, "No such file")


@pytest.mark.parametrize("count", [0, -5])
def test_output_of_no_tokens_is_refused(infer, count):
    assert_refused(infer(f"--output-tokens={count}"), f"{count} output tokens")


@pytest.mark.parametrize("value", ["-1", "nan", "101"])
def test_impossible_temperature_is_refused(infer, value):
    assert_refused(infer(f"--temperature={value}"), f"temperature of {value}")


@pytest.mark.parametrize("value", ["0", "1.5", "nan"])
def test_impossible_top_p_is_refused(infer, value):
    assert_refused(infer(f"--top-p={value}"), f"top-p of {value}")


def test_unknown_state_type_is_refused(infer):
    assert_refused(infer("--states", "f8"), '"f8"')


def test_unknown_policy_is_refused(verify):
    assert_refused(verify("--policy", "lenient"), '"lenient"', "paper", "reference")


def test_unknown_option_is_refused(infer, verify):
    for done in (infer("--bogus"), verify("--bogus")):
        assert_usage(done, "--bogus")


def test_unknown_subcommand_is_refused(run):
    assert run("prove").code == INPUT
    assert_usage(run(), "subcommand")


@pytest.mark.parametrize(
    "arguments, missing",
    [
        (["infer", "--model", "smollm2-135m", "--out", "out"], "--prompt"),
        (["infer", "--model", "smollm2-135m", "--prompt", "Hello"], "--out"),
        (["infer", "--prompt", "Hello", "--out", "out"], "--model"),
        (["verify", "--model", "smollm2-135m"], "folder"),
        (["verify", "out"], "--model"),
        (["compare", "a.safetensors"], "b"),
        (["attack", "run", "greedy", "--model", "smollm2-135m", "--out", "out"], "--prompt"),
        (["attack", "run", "--model", "smollm2-135m", "--prompt", "Hello", "--out", "out"], "name"),
        (["calibrate", "--out", "calibration.json"], "--config"),
        (["calibrate", "--config", "calibration.yaml"], "--out"),
        (["experiment", "run"], "config"),
        (["experiment", "report"], "folder"),
        (["worker"], "--device"),
        (["model", "quantize", "a.gguf", "b.gguf"], "--type"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_missing_argument_is_refused(run, tmp_path, arguments, missing):
    assert_usage(run(*arguments, cwd=tmp_path), missing)
    assert contents(tmp_path) == {}


def test_option_without_its_value_is_refused(run, tmp_path):
    assert_usage(run("infer", "--model", "smollm2-135m", "--out", "out", "--prompt", cwd=tmp_path), "--prompt")


# Traces


def test_missing_trace_is_refused(run, model, tmp_path):
    assert_refused(run("verify", tmp_path, "--model", model), tmp_path / "trace.safetensors", "No such file")


@pytest.mark.parametrize("length", [0, 7, 8, 100, 2000, "half", "all but one"])
def test_truncated_trace_is_refused(verify, trace_file, length):
    content = trace_file.read_bytes()
    size = {"half": len(content) // 2, "all but one": len(content) - 1}.get(length, length)
    trace_file.write_bytes(content[:size])
    assert_refused(verify(), trace_file, "bytes")


def test_trace_with_bytes_behind_its_end_is_refused(verify, trace_file):
    trace_file.write_bytes(trace_file.read_bytes() + b"more")
    assert_refused(verify(), trace_file, "4 bytes follow")


def test_file_that_is_no_safetensors_is_refused(verify, trace_file):
    trace_file.write_bytes(b"GGUF" + bytes(4) + bytes(1000))
    assert_refused(verify(), trace_file)
    trace_file.write_text("This was never a trace of anything, just a text of some length.\n" * 20)
    assert_refused(verify(), trace_file, "no safetensors file")


def test_safetensors_file_that_is_no_trace_is_refused(verify, trace_file):
    _, tensors = safetensors_edit.load(trace_file)
    safetensors_edit.save(trace_file, {"format": "pt"}, tensors)
    assert_refused(verify(), trace_file, "__metadata__")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001])
def test_trace_with_an_enormous_header_length_is_refused(verify, trace_file, length):
    trace_file.write_bytes(struct.pack("<Q", length) + trace_file.read_bytes()[8:])
    assert_refused(verify(), trace_file, length)


def test_trace_whose_header_is_no_json_is_refused(verify, trace_file):
    content = bytearray(trace_file.read_bytes())
    content[8] = ord("[")
    trace_file.write_bytes(content)
    assert_refused(verify(), trace_file, "header at offset 8", "not JSON")


def test_overlapping_tensors_are_refused(verify, trace_file):
    header, data = safetensors_edit.split(trace_file)
    header["hidden_states.16"]["data_offsets"] = header["hidden_states.8"]["data_offsets"]
    safetensors_edit.join(trace_file, header, data)
    assert_refused(verify(), trace_file, "tensor hidden_states.", "overlap")


def test_gap_between_tensors_is_refused(verify, trace_file):
    header, data = safetensors_edit.split(trace_file)
    begin = header["hidden_states.16"]["data_offsets"][0]
    for entry in header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] >= begin:
            entry["data_offsets"] = [offset + 64 for offset in entry["data_offsets"]]
    safetensors_edit.join(trace_file, header, data[:begin] + bytes(64) + data[begin:])
    assert_refused(verify(), trace_file, "hidden_states.16", "gap")


def test_tensor_outside_the_file_is_refused(verify, trace_file):
    header, data = safetensors_edit.split(trace_file)
    header["hidden_states.final"]["data_offsets"] = [2**62, 2**62 + 12 * 576 * 2]
    safetensors_edit.join(trace_file, header, data)
    assert_refused(verify(), trace_file, "hidden_states.final", "outside the data section")


@pytest.mark.parametrize("shape", [[576, 12], [6, 1152], [12 * 576], [2**40, 2**40], [12, 575]])
def test_states_of_another_shape_are_refused(verify, trace_file, shape):
    header, data = safetensors_edit.split(trace_file)
    header["hidden_states.8"]["shape"] = shape
    safetensors_edit.join(trace_file, header, data)
    assert_refused(verify(), trace_file, "hidden_states.8")


@pytest.mark.parametrize("dtype", ["F16", "F32", "F8_E4M3", "nonsense"])
def test_states_of_the_wrong_type_are_refused(verify, trace_file, dtype):
    header, data = safetensors_edit.split(trace_file)
    header["hidden_states.8"]["dtype"] = dtype
    safetensors_edit.join(trace_file, header, data)
    assert_refused(verify(), trace_file, "hidden_states.8", dtype)


def test_unknown_tensor_is_refused(verify, trace_file):
    metadata, tensors = safetensors_edit.load(trace_file)
    tensors["hidden_states.9"] = tensors["hidden_states.8"]
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, "unknown tensor hidden_states.9")


def test_doubled_key_in_the_header_is_refused(verify, trace_file):
    header, data = safetensors_edit.split(trace_file)
    text = json.dumps(header)
    doubled = text[:-1] + ', "tokens": ' + json.dumps(header["tokens"]) + "}"
    safetensors_edit.join(trace_file, doubled, data)
    assert_refused(verify(), trace_file, '"tokens"', "twice")


@pytest.mark.parametrize("token", [49152, 2**31 - 1, -1])
def test_token_outside_the_vocabulary_is_refused(verify, trace_file, token):
    metadata, tensors = safetensors_edit.load(trace_file)
    tensors["tokens"].data = tensors["tokens"].data[:12] + struct.pack("<i", token) + tensors["tokens"].data[16:]
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, f"token {token} at position 3", "49152")


def test_rows_out_of_order_are_refused(verify, trace_file):
    metadata, tensors = safetensors_edit.load(trace_file)
    data = tensors["positions"].data
    tensors["positions"].data = data[4:8] + data[:4] + data[8:]
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, "position", "out of order")


@pytest.mark.parametrize("key", ["format", "model", "device", "plan", "n_prompt"])
def test_missing_metadata_is_refused(verify, trace_file, key):
    metadata, tensors = safetensors_edit.load(trace_file)
    del metadata[key]
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, "__metadata__", f'"{key}"', "missing")


def test_trace_of_another_format_version_is_refused(verify, trace_file):
    metadata, tensors = safetensors_edit.load(trace_file)
    assert metadata["format_version"] == "2"
    metadata["format_version"] = "1"
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, "version 1 is not", "version 2")


@pytest.mark.parametrize("field", ["context", "chunk", "threads", "flash_attention", "cache", "sequences", "shared_prefix"])
def test_schedule_that_lacks_a_field_is_refused(verify, trace_file, field):
    metadata, tensors = safetensors_edit.load(trace_file)
    schedule = json.loads(metadata["schedule"])
    del schedule[field]
    metadata["schedule"] = json.dumps(schedule)
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_refused(verify(), trace_file, "schedule", f'"{field}"')


@pytest.mark.parametrize(
    "field, value",
    [("flash_attention", "maybe"), ("cache", "q2_k"), ("sequences", 0), ("sequences", 65), ("shared_prefix", -1), ("chunk", 0), ("batch", 1)],
)
def test_schedule_that_makes_no_sense_is_refused(verify, trace_file, field, value):
    safetensors_edit.change_metadata(trace_file, "schedule", **{field: value})
    assert_refused(verify(), trace_file, "schedule", value if field != "batch" else '"batch"')


def test_trace_without_metadata_is_refused(verify, trace_file):
    header, data = safetensors_edit.split(trace_file)
    del header["__metadata__"]
    safetensors_edit.join(trace_file, header, data)
    assert_refused(verify(), trace_file, "no __metadata__")


@pytest.mark.parametrize("bits, name", [(0x7FC0, "nan"), (0x7F80, "inf"), (0xFF80, "-inf")])
def test_trace_that_holds_no_numbers_is_refused_with_their_place(verify, trace_file, bits, name):
    metadata, tensors = safetensors_edit.load(trace_file)
    states = bytearray(tensors["hidden_states.16"].data)
    struct.pack_into("<H", states, 2 * (5 * 576 + 123), bits)
    tensors["hidden_states.16"].data = bytes(states)
    safetensors_edit.save(trace_file, metadata, tensors)
    position = int(metadata["n_prompt"]) + 5
    assert_refused(verify(), f"holds {name} ", "capture point 16", f"position {position}", "element 123")


def test_trace_of_another_model_file_is_refused_unless_allowed(verify, trace_file):
    digest = "0123456789abcdef" * 4
    safetensors_edit.change_metadata(trace_file, "model", digest=digest)
    assert_refused(verify(), digest, "--other-model")
    done = verify("--other-model")
    assert done.code == 0 and done.err == "", done.err


def test_trace_of_another_tokenizer_is_refused(verify, trace_file):
    safetensors_edit.change_metadata(trace_file, "model", vocabulary_digest="0" * 64)
    assert_refused(verify(), "another tokenizer")
    assert_refused(verify("--other-model"), "another tokenizer")


def test_trace_of_a_model_of_another_depth_is_refused(verify, trace_file):
    safetensors_edit.change_metadata(trace_file, "model", n_layer=32)
    assert_refused(verify("--other-model"), "32 blocks", "30")


# Responses that are well-formed, but not proven


def assert_rejected(done, *words):
    assert done.code == REJECTED, done.err
    assert done.err == ""
    for word in words:
        assert word in done.out


def test_missing_capture_point_is_rejected(verify, trace_file):
    metadata, tensors = safetensors_edit.load(trace_file)
    del tensors["hidden_states.8"]
    metadata["plan"] = json.dumps({"points": ["0", "16", "24", "final"], "states": "bf16"})
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_rejected(verify(), "lacks 12 of 12 rows of capture point 8")


def test_missing_rows_are_rejected(verify, trace_file):
    metadata, tensors = safetensors_edit.load(trace_file)
    for tensor in tensors.values():
        if tensor.shape[0] == 12:
            row = len(tensor.data) // 12
            tensor.data = tensor.data[: 4 * row] + tensor.data[7 * row :]
            tensor.shape = [9, *tensor.shape[1:]]
    safetensors_edit.save(trace_file, metadata, tensors)
    assert_rejected(verify(), *(f"lacks 3 of 12 rows of capture point {point}" for point in ("0", "8", "16", "24", "final")))


def test_text_changed_by_one_byte_is_rejected(verify, damaged):
    text = bytearray((damaged / "text.txt").read_bytes())
    text[len(text) // 2] ^= 1
    (damaged / "text.txt").write_bytes(text)
    assert_rejected(verify(), "text is not what the tokens decode to")


def test_missing_text_is_refused(verify, damaged):
    (damaged / "text.txt").unlink()
    assert_refused(verify(), damaged / "text.txt", "No such file")


# Workers


@pytest.fixture
def experiment(run, model, tmp_path):
    """Runs an experiment of one short trial whose prover and verifier are on workers with the given commands."""
    (tmp_path / "prompts.yaml").write_text("prompts:\n  short:\n    - Name three uses of a water wheel.\n")

    def call(prover, verifier=None, *options):
        commands = {"one": prover, "two": verifier or prover}
        workers = "".join(f"  {name}:\n    command: {json.dumps([str(word) for word in command])}\n" for name, command in commands.items())
        config = tmp_path / "config.yaml"
        config.write_text(
            f"model: {model}\nname: small\nprover: cpu@one\nverifier: cpu@two\nscenario: 1\ntrials: 1\nverifiers: 1\noutput_tokens: 8\n"
            f"worker_timeout: {TIMEOUT}\nworkers:\n{workers}"
        )
        return run("experiment", "run", config, "--out", tmp_path / "results", *options)

    return call


@pytest.fixture
def script(tmp_path):
    """Writes a Python program and gives the command that runs it."""

    def write(text, *arguments):
        path = tmp_path / f"worker{len(list(tmp_path.glob('worker*.py')))}.py"
        path.write_text(text)
        return [PYTHON, path, *arguments]

    return write


@pytest.fixture
def answering(script):
    """A worker that reads one request, answers it with the given bytes and waits for the end of its input."""

    def make(reply):
        return script(f"import os, sys\nos.read(0, 65536)\nos.write(1, {reply!r})\nsys.stdin.buffer.read()\n")

    return make


# Passes on what the real worker says up to the first rows of its Nth inference (0: of a verification).
UP_TO_ROWS = r"""
import os, signal, struct, subprocess, sys, time
n_to_come = int(sys.argv[1])
worker = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
while True:
    prefix = worker.stdout.read(8)
    content = worker.stdout.read(sum(struct.unpack("<II", prefix)))
    rest = prefix + content
    while rest:
        rest = rest[os.write(1, rest) :]
    n_to_come -= b'"type":"prompt"' in content
    if n_to_come <= 0 and b'"type":"rows"' in content:
        break
"""

KILLED = UP_TO_ROWS + "worker.kill()\nos.kill(os.getpid(), signal.SIGKILL)\n"
STOPPED = UP_TO_ROWS + "worker.send_signal(signal.SIGSTOP)\ntime.sleep(3600)\n"


def test_worker_command_that_does_not_exist_fails(experiment):
    assert_worker_failed(experiment(["verillm-nowhere", "worker"]), "verillm-nowhere", "No such file")


def test_worker_that_exits_at_once_fails_with_its_last_words(experiment, script):
    done = experiment(script("import sys\nsys.exit('the licence of the accelerator has expired')\n"))
    assert_worker_failed(done, "cpu@one", "exited with 1")
    assert "the licence of the accelerator has expired" in done.err.splitlines()


def test_worker_killed_during_an_inference_fails_and_leaves_no_trace(experiment, script, verillm, tmp_path):
    done = experiment(script(KILLED, 1, verillm, "worker"))
    assert_worker_failed(done, "cpu@one", "died", "signal 9")
    assert contents(tmp_path / "results") == {}


def test_worker_killed_during_a_verification_leaves_the_inference_to_go_on_from(experiment, script, verillm, tmp_path):
    good, killed = [verillm, "worker"], script(KILLED, 0, verillm, "worker")
    assert experiment(good, killed, "--step", "infer").code == 0
    before = contents(tmp_path / "results")
    assert {path.name for path in before} >= {"trace.safetensors", "text.txt", "inference.json"}
    assert_worker_failed(experiment(good, killed), "cpu@two", "died", "signal 9")
    assert contents(tmp_path / "results") == before
    done = experiment(good, good)
    assert done.code == 0, done.err
    after = contents(tmp_path / "results")
    assert {path: after[path] for path in before} == before
    assert "small_cpu@one_to_cpu@two_trial1.json" in map(str, after)


@pytest.mark.parametrize("version", [1, 99])
def test_worker_of_another_protocol_version_fails(experiment, answering, version):
    done = experiment(answering(frame({"type": "done", "protocol": version})))
    assert_worker_failed(done, "cpu@one", f"protocol version {version},", "speaks 3:", "install the same version")


def test_worker_that_says_too_little_of_itself_fails(experiment, answering):
    assert_worker_failed(experiment(answering(frame({"type": "done", "protocol": 3}))), "cpu@one", '"device"')


def test_worker_that_greets_in_plain_text_fails_with_the_greeting(experiment, answering):
    done = experiment(answering(b"Welcome to the machine room!\n"))
    assert_worker_failed(done, "cpu@one", '"Welcome "', "does something else", "write to this stream?")


@pytest.mark.parametrize("head", [b"hello, world", b"[1]", b'{"type":"done","type":"error"}', b"{" * 1000])
def test_worker_that_sends_no_json_object_fails(experiment, answering, head):
    assert_worker_failed(experiment(answering(frame(head))), "cpu@one", "received a frame that cannot be read", head[:12].decode())


@pytest.mark.parametrize("lengths", [(2**32 - 1, 0), (2, 2**32 - 1), (2**24 + 1, 0), (2, 2**28 + 1)])
def test_worker_that_announces_too_long_a_frame_fails_at_once(experiment, answering, lengths):
    start = time.monotonic()
    done = experiment(answering(struct.pack("<II", *lengths)))
    assert_worker_failed(done, "cpu@one", f"{lengths[0]} + {lengths[1]} bytes")
    assert time.monotonic() - start < TIMEOUT


@pytest.mark.parametrize("begun", [b"\x40", b"\x40\0\0\0\0\0\0\0half", b"\2\0\0\0\5\0\0\0{}half"])
def test_worker_that_ends_inside_a_frame_fails(experiment, script, begun):
    done = experiment(script(f"import os\nos.read(0, 65536)\nos.write(1, {begun!r})\n"))
    assert_worker_failed(done, "cpu@one", "ends inside a frame")


def test_worker_that_sends_a_payload_where_none_belongs_fails(experiment, answering):
    reply = frame({"type": "error", "kind": "input", "message": "no"}, b"more")
    assert_worker_failed(experiment(answering(reply)), "cpu@one", "payload of 4 bytes where none belongs")


def test_worker_that_reports_an_error_passes_its_kind_on(experiment, answering):
    reply = {"type": "error", "kind": "worker", "message": "out of graphics memory"}
    assert_worker_failed(experiment(answering(frame(reply))), "cpu@one", "out of graphics memory")
    reply = {"type": "error", "kind": "input", "message": "no such model there"}
    assert_refused(experiment(answering(frame(reply))), "cpu@one", "no such model there")


def assert_silence_noticed(done, seconds):
    assert_worker_failed(done, "cpu@one", "does not answer", f"nothing was heard of it for {TIMEOUT} seconds", "--worker-timeout")
    assert TIMEOUT <= seconds < TIMEOUT + 20


@pytest.mark.parametrize("begun", [b"", b"\x40\0\0\0\0\0\0\0half"])
def test_worker_that_falls_silent_is_given_up(experiment, answering, begun):
    start = time.monotonic()
    assert_silence_noticed(experiment(answering(begun)), time.monotonic() - start)


def test_worker_that_is_stopped_during_an_inference_is_given_up_and_leaves_no_trace(experiment, script, verillm, tmp_path):
    start = time.monotonic()
    assert_silence_noticed(experiment(script(STOPPED, 1, verillm, "worker")), time.monotonic() - start)
    assert contents(tmp_path / "results") == {}


def test_worker_that_is_stopped_in_a_later_trial_leaves_the_earlier_ones_to_go_on_from(experiment, script, verillm, tmp_path):
    good, stopped = [verillm, "worker"], script(STOPPED, 2, verillm, "worker")
    assert_worker_failed(experiment(stopped, good, "--trials", 2), "cpu@one", "does not answer")
    first, second = (Path(f"small_cpu@one_to_cpu@two_trial{trial}.json") for trial in (1, 2))
    before = contents(tmp_path / "results")
    assert first in before and second not in before
    done = experiment(good, good, "--trials", 2)
    assert done.code == 0, done.err
    after = contents(tmp_path / "results")
    assert second in after and {path: after[path] for path in before} == before


def test_timeout_on_the_command_line_goes_before_the_configured_one(experiment, answering):
    done = experiment(answering(b""), None, "--worker-timeout", TIMEOUT + 1)
    assert_worker_failed(done, "cpu@one", f"nothing was heard of it for {TIMEOUT + 1} seconds")


def test_worker_command_refuses_a_stream_that_is_no_protocol(verillm):
    done = subprocess.run([verillm, "worker", "--device", "cpu"], input=b"GET / HTTP/1.1\r\n\r\n", capture_output=True, timeout=60)
    assert done.returncode == WORKER and done.stdout == b""
    assert b'"GET / HT"' in done.stderr


# Storage


@contextlib.contextmanager
def small_disk(folder, size):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_full_disk_leaves_no_partial_trace_and_earlier_files_alone(run, model, trace, tmp_path):
    with small_disk(tmp_path / "disk", "200k") as disk:
        shutil.copytree(trace, disk / "earlier")
        before = contents(disk)
        new = disk / "new"
        done = run("infer", "--model", model, "--prompt", "Hello", "--output-tokens", 40, "--ignore-end", "--out", new)
        assert_refused(done, new / "trace.safetensors", "No space left on device")
        assert contents(disk) == before
        assert run("verify", disk / "earlier", "--model", model).code == 0


def test_folder_below_a_file_cannot_be_written_to(infer, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert_refused(infer(out=file / "out"), file / "out", "Not a directory")
    assert_refused(infer(out=file), file)
    assert file.read_text() == "mine"


def test_file_in_the_place_of_the_results_is_refused(run, model, tmp_path):
    file = tmp_path / "results"
    file.write_text("mine")
    assert_refused(run("experiment", "run", "configs/exp2.yaml", "--model", model, "--out", file), file)
    assert file.read_text() == "mine"


# Configurations


@pytest.fixture
def configured(run, model, tmp_path):
    """Runs an experiment from the text of a configuration, which has to be refused before anything is written."""
    (tmp_path / "prompts.yaml").write_text("prompts:\n  short:\n    - Hello\n")

    def call(text):
        config = tmp_path / "config.yaml"
        config.write_text(text)
        done = run("experiment", "run", config, "--model", model, "--name", "small", "--out", tmp_path / "results")
        assert not (tmp_path / "results").exists()
        return done

    return call


def test_missing_configuration_is_refused(run, tmp_path):
    missing = tmp_path / "missing.yaml"
    assert_refused(run("experiment", "run", missing), missing, "No such file")


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("trials: 1\nverifiers: 1\ntrails: 3\n", 3, ["unknown key", '"trails"']),
        ("trials: 1\nsampling:\n  temperature: 0\n  topp: 1\n", 4, ["unknown key", '"topp"']),
        ("workers:\n  one:\n    command: [a]\n    folder: b\n", 4, ["unknown key", '"folder"']),
    ],
)
def test_unknown_key_is_refused_with_its_line(configured, tmp_path, text, line, words):
    assert_refused(configured(text), f"{tmp_path / 'config.yaml'}:{line}:", *words)


@pytest.mark.parametrize(
    "text, line, key",
    [
        ("trials: 1\nverifiers: 1\ntrials: 3\n", 3, "trials"),
        ("record:\n  states: bf16\n  states: f16\n", 3, "states"),
        ("workers:\n  one: {command: [a]}\n  one: {command: [b]}\n", 3, "one"),
    ],
)
def test_doubled_key_is_refused_with_its_line(configured, tmp_path, text, line, key):
    assert_refused(configured(text), f"{tmp_path / 'config.yaml'}:{line}:", f'"{key}"', "twice")


@pytest.mark.parametrize(
    "text, line, key",
    [
        ("verifiers: 1\ntrials: many\n", 2, "trials"),
        ("verifiers: 1\ntrials: [1]\n", 2, "trials"),
        ("verifiers: 1\ntrials: 1.5\n", 2, "trials"),
        ("verifiers: 1\ntrials: 99999999999\n", 2, "trials"),
        ("sampling:\n  seed: -1\n", 2, "seed"),
        ("record:\n  final: 8\n", 2, "final"),
    ],
)
def test_value_of_the_wrong_type_is_refused_with_its_line(configured, tmp_path, text, line, key):
    assert_refused(configured(text), f"{tmp_path / 'config.yaml'}:{line}:", f'"{key}"', "wrong type")


def test_section_that_is_no_map_is_refused_with_its_line(configured, tmp_path):
    assert_refused(configured("trials: 1\nsampling: 0.7\n"), f"{tmp_path / 'config.yaml'}:2:", "no map")


def test_worker_command_that_is_no_list_is_refused_with_its_line(configured, tmp_path):
    assert_refused(configured("workers:\n  one:\n    command: ssh host\n"), f"{tmp_path / 'config.yaml'}:3:", "no list of words")


@pytest.mark.parametrize("text, line", [("trials: 1\nworkers: [a, b\n", 3), ("trials: 1\n\tverifiers: 1\n", 2), ("trials: 1\nname: \"open", 2)])
def test_configuration_that_is_no_yaml_is_refused_with_its_line(configured, tmp_path, text, line):
    assert_refused(configured(text), f"{tmp_path / 'config.yaml'}:{line}:", "no YAML")


@pytest.mark.xfail(strict=True, reason="yaml-cpp takes a quotation that the file's last line break ends")
def test_quotation_left_open_at_the_last_line_break_is_refused(configured, tmp_path):
    assert_refused(configured('prover: cpu@nowhere\nname: "open\n'), f"{tmp_path / 'config.yaml'}:", "no YAML")


def test_configuration_that_is_no_map_is_refused(configured, tmp_path):
    assert_refused(configured("- trials\n- 1\n"), f"{tmp_path / 'config.yaml'}:1:", "no map")


@pytest.mark.parametrize(
    "text, words",
    [
        ("policy: lenient\n", ['"lenient"', "paper"]),
        ("prover: cuda:0@gpu-box\n", ["cuda:0@gpu-box", '"gpu-box"', "workers:"]),
        ("trials: 0\n", ["0 trials"]),
        ("verifiers: 0\n", ["0 verifiers"]),
        ("output_tokens: 0\n", ["0 output tokens"]),
        ("scenario: 3\n", ['"3"']),
        ("sampling: {temperature: -1}\n", ["temperature of -1"]),
        ("sampling: {top_p: 0}\n", ["top-p of 0"]),
        ("record: {layers_every: 0}\n", ["layer interval of 0"]),
        ("record: {states: f8}\n", ['"f8"']),
        ("name: a/b\n", ['"a/b"']),
    ],
    ids=lambda value: value.strip() if isinstance(value, str) else "",
)
def test_configuration_that_makes_no_sense_is_refused(configured, tmp_path, text, words):
    assert_refused(configured(text), tmp_path / "config.yaml", *words)


def test_prompt_length_that_the_prompts_file_lacks_is_refused(configured, tmp_path):
    assert_refused(configured("prompt_length: endless\n"), tmp_path / "prompts.yaml", '"endless"')


def test_damaged_prompts_file_is_refused(configured, tmp_path):
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("prompts:\n  short: []\n")
    assert_refused(configured("trials: 1\n"), f"{prompts}:2:", "no list of words")
    prompts.write_text("questions:\n  short: [Hello]\n")
    assert_refused(configured("trials: 1\n"), prompts, '"prompts"')
    prompts.unlink()
    assert_refused(configured("trials: 1\n"), prompts, "No such file")


# The published experiment with its two machines

PUBLISHED = ROOT / "configs" / "exp2-qwen2.5-7b.yaml"

# A worker that computes on the CPU and says that it is the device that was asked for.
STAND_IN = r"""
import json, os, struct, subprocess, sys
device = sys.argv[sys.argv.index("--device") + 1]
command = [word if word != device else "cpu" for word in sys.argv[1:]]
worker = subprocess.Popen(command, stdout=subprocess.PIPE)
hello = {}
while hello.get("type") != "done":
    (length, _) = struct.unpack("<II", worker.stdout.read(8))
    hello = json.loads(worker.stdout.read(length))
hello["device"]["name"] = device
hello = json.dumps(hello).encode()
with os.fdopen(1, "wb", buffering=0) as output:
    output.write(struct.pack("<II", len(hello), 0) + hello)
    while part := worker.stdout.read1(1 << 20):
        output.write(part)
sys.exit(worker.wait())
"""


def test_published_configuration_runs_with_stand_in_workers(run, script, verillm, tmp_path):
    command = json.dumps([str(word) for word in script(STAND_IN, verillm, "worker")])
    text, n_commands = re.subn(r"command: \[.*\]", lambda _: f"command: {command}", PUBLISHED.read_text())
    text, n_models = re.subn(r"(?m)^model: .*$", "model: smollm2-135m", text)
    text, n_lengths = re.subn(r"(?m)^output_tokens: .*$", "output_tokens: 8", text)
    text, n_counts = re.subn(r"(?m)^(trials|verifiers): .*$", r"\1: 1", text)
    text, n_prompts = re.subn(r"(?m)^prompts: .*$", f"prompts: {PUBLISHED.parent / 'prompts.yaml'}", text)
    assert (n_commands, n_models, n_lengths, n_counts, n_prompts) == (2, 1, 1, 2, 1)
    config = tmp_path / "config.yaml"
    config.write_text(text)
    out = tmp_path / "results"
    done = run("experiment", "run", config, "--out", out)
    assert done.code == 0, done.err
    assert {path.name for path in out.glob("*.json")} == {
        f"qwen2.5-7b_{direction}_{kind}.json" for direction in ("cuda:0_to_mps", "mps_to_cuda:0") for kind in ("trial1", "summary")
    }
    trial = json.loads((out / "qwen2.5-7b_cuda:0_to_mps_trial1.json").read_text())
    assert (trial["model"], trial["inference_device"], trial["verification_device"]) == ("qwen2.5-7b", "cuda:0", "mps")
    assert trial["inference"]["generated_length"] == 8


def test_published_configuration_without_its_model_is_refused(run, tmp_path):
    missing = tmp_path / "Qwen2.5-7B-Instruct-F16.gguf"
    done = run("experiment", "run", PUBLISHED, "--model", missing, "--out", tmp_path / "results")
    assert_refused(done, missing, "no such model file")
    assert not (tmp_path / "results").exists()
