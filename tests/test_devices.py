"""Devices end to end: which are listed, which of ggml's a name opens, and GPUs beside the CPU."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import assert_refused

PROMPT = "Name one use of a water wheel."


@pytest.fixture(scope="module")
def devices(run):
    done = run("devices", "--json")
    assert done.code == 0, done.err
    return {device["name"]: device for device in json.loads(done.out)["devices"]}


def test_every_device_runs_or_says_why_not(devices):
    for name, device in devices.items():
        assert device["can_run"] == ("reason" not in device), name
        if device["can_run"]:
            assert device["description"] and device["memory_total"] > 2**28, name


# GPUs that are not there


@pytest.fixture(scope="module")
def with_gpus(verillm, run, tmp_path_factory):
    """Runs the command where ggml has two GPUs each of CUDA and Metal, which compute nothing."""
    libraries = subprocess.run(["ldd", verillm], capture_output=True, text=True, check=True).stdout
    engine = Path(re.search(r"libggml\.so\S* => (\S+)", libraries)[1]).parent
    folder = tmp_path_factory.mktemp("backends")
    for library in engine.glob("libggml-cpu-*"):
        (folder / library.name).symlink_to(library)
    for name in ("cuda", "metal"):
        (folder / f"libggml-{name}.so").symlink_to(verillm.parent.parent / "tests" / f"libstand_in_{name}.so")
    return lambda *arguments: run(*arguments, env={**os.environ, "VERILLM_BACKENDS": str(folder)})


def test_gpus_are_listed_with_what_ggml_says_of_them(with_gpus):
    done = with_gpus("devices", "--json")
    assert done.code == 0, done.err
    gpus = {device["name"]: device for device in json.loads(done.out)["devices"] if device["backend"] in ("CUDA", "Metal")}
    assert {name: device["description"] for name, device in gpus.items()} == {
        "cuda:0": "stand-in, first",
        "cuda:1": "stand-in, second",
        "metal:0": "stand-in, first",
        "metal:1": "stand-in, second",
    }
    assert all(device["can_run"] and device["memory_total"] == 2**34 and not device["software"] for device in gpus.values())


@pytest.mark.parametrize("device, answer", [("cuda:2", "CUDA finds 2 devices"), ("mps:2", "Metal finds 2 devices"), ("cuda:x", "CUDA finds 2"),
                                            ("vulkan:0", "built without Vulkan")])  # fmt: skip
def test_gpu_that_is_not_there_is_refused(with_gpus, model, tmp_path, device, answer):
    done = with_gpus("infer", "--model", model, "--device", device, "--prompt", PROMPT, "--out", tmp_path / "out")
    assert_refused(done, device, answer)


# Vulkan


@pytest.fixture
def vulkan(devices):
    """Skips where llama.cpp could not be built with Vulkan, but not where its devices do not run."""
    if "built without" in devices["vulkan:0"].get("reason", ""):
        pytest.skip("this llama.cpp was built without Vulkan")


def test_vulkan_is_listed_with_its_hardware(devices, vulkan):
    assert devices["vulkan:0"]["can_run"], devices["vulkan:0"]
    assert devices["vulkan:0"]["software"] == devices["vulkan:0"]["description"].startswith("llvmpipe")


@pytest.mark.parametrize("prover, verifier", [("cpu", "vulkan:0"), ("vulkan:0", "cpu")])
def test_vulkan_and_cpu_verify_each_other(run, model, vulkan, tmp_path, prover, verifier):
    done = run("infer", "--model", model, "--device", prover, "--prompt", PROMPT, "--output-tokens", 16, "--ignore-end", "--out", tmp_path)
    assert done.code == 0, done.err
    done = run("verify", tmp_path, "--model", model, "--device", verifier, "--policy", "paper", "--json")
    verification = json.loads(done.out)
    assert verification["verifier"]["backend"] == ("Vulkan" if verifier == "vulkan:0" else "CPU")
    # Its half-precision arithmetic is beyond the edge of the published thresholds, between honest devices.
    assert 0.4 < verification["accept_rate"] <= 1
    assert 0.001 < max(point["relative_error"] for point in verification["per_capture_point"].values()) < 0.03


# RPC


@pytest.fixture
def rpc_server(verillm):
    """Endpoint of a device that another process offers, and that process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen([verillm, "rpc-server", "--device", "cpu:haswell", "--listen", endpoint], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(endpoint.split(":")):
            break
        time.sleep(0.1)
    yield endpoint, server
    server.kill()
    server.wait()


def test_device_of_an_rpc_server_verifies_the_cpu(run, model, rpc_server, tmp_path):
    endpoint, _ = rpc_server
    done = run("infer", "--model", model, "--device", "cpu", "--prompt", PROMPT, "--output-tokens", 16, "--ignore-end", "--out", tmp_path)
    assert done.code == 0, done.err
    done = run("verify", tmp_path, "--model", model, "--device", f"rpc:{endpoint}", "--policy", "paper", "--json")
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["verifier"]["backend"] == "RPC"


def test_rpc_server_that_dies_is_an_error(verillm, model, rpc_server, tmp_path):
    endpoint, server = rpc_server
    infer = subprocess.Popen([verillm, "infer", "--model", model, "--device", f"rpc:{endpoint}", "--prompt", PROMPT, "--output-tokens", "2000",
                              "--ignore-end", "--out", tmp_path / "out"], stderr=subprocess.PIPE, text=True)  # fmt: skip
    time.sleep(5)
    assert infer.poll() is None
    server.kill()
    _, errors = infer.communicate(timeout=60)
    assert infer.returncode == 4 and "died" in errors, errors


def test_rpc_server_that_does_not_answer_is_an_error(run, model, tmp_path):
    done = run("infer", "--model", model, "--device", "rpc:127.0.0.1:9", "--prompt", PROMPT, "--out", tmp_path / "out")
    assert done.code == 4 and "no RPC server of llama.cpp answers at 127.0.0.1:9" in done.err
