"""Experiment 2 between two hosts, with a worker over SSH and with a device over ggml's RPC: sound, and when something is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT, WORKER
from hosts import Cable, Host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the namespaces of Linux")

WORKER_TIMEOUT = 5
# An RPC host is given up after 20 seconds of silence, which are looked for every 5.
RPC_TIMEOUT = 25
# For what has to be done around that on a busy machine.
SLACK = 10

PORT = 50052


@pytest.fixture(scope="module")
def tiny(run, model, tmp_path_factory):
    """Path of a model of eight narrow blocks with random weights."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    done = run("model", "synth", "--like", "qwen2-tiny", "--blocks", 8, "--tokenizer", model, "--out", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture
def cable():
    with Host("here", "10.0.0.1") as here, Host("there", "10.0.0.2") as there:
        cable = Cable(here, there)
        cable.here, cable.there = here, there
        yield cable


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(cable, port):
    probe = f"import socket; socket.create_connection(('{cable.there.address}', {port}), 1)"
    return subprocess.run(cable.here.on(sys.executable, "-c", probe), stderr=subprocess.DEVNULL, check=False).returncode == 0


class Experiment:
    """The command, run on one of the hosts, and the trials that it leaves."""

    def __init__(self, verillm, model, host, folder, workers):
        self.out = folder / "out"
        self.environment = {**os.environ, "VERILLM_CACHE": str(folder / "cache")}
        self.host = host
        config = folder / "config.yaml"
        # JSON is YAML.
        config.write_text(json.dumps({
            "experiment": "exp2", "model": str(model), "prompts": str(ROOT / "configs" / "prompts.yaml"), "output_tokens": 400,
            "sampling": {"ignore_end": True}, "verifiers": 1, "workers": workers,
        }), encoding="utf-8")  # fmt: skip
        self.command = [verillm, "experiment", "run", config, "--out", self.out, "--worker-timeout", WORKER_TIMEOUT]

    def start(self, *options):
        command = self.host.on(*self.command, *options)
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def trials(self):
        """When the file of each trial that is finished was written."""
        return {path.name: path.stat().st_mtime_ns for path in self.out.glob("*_trial*.json")}

    def verdicts(self):
        return [json.loads((self.out / name).read_text(encoding="utf-8"))["summary"]["final_verdict"] for name in self.trials()]


def result_of(process, seconds=60):
    """Exit code and messages."""
    try:
        _, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, errors


def assert_passes_both_ways(experiment, prover, verifier):
    code, errors = result_of(experiment.start("--prover", prover, "--verifier", verifier, "--scenario", "both", "--trials", 1))
    assert code == 0, errors
    assert experiment.verdicts() == ["PASS", "PASS"]


def assert_survives(experiment, prover, verifier, trouble, remedy, timeout):
    """Runs trials with the prover on the other host, makes trouble after the first, and goes on after a remedy."""
    options = ("--prover", prover, "--verifier", verifier, "--scenario", 1, "--trials", 3)
    process = experiment.start(*options)
    wait_until(lambda: experiment.trials() or process.poll() is not None)
    trouble()
    code, errors = result_of(process, timeout + SLACK)
    assert code == WORKER, errors
    assert f"worker {prover} " in errors
    kept = experiment.trials()
    assert 1 <= len(kept) < 3
    remedy()
    code, more_errors = result_of(experiment.start(*options))
    assert code == 0, more_errors
    assert experiment.verdicts() == ["PASS"] * 3
    assert kept.items() <= experiment.trials().items()
    return errors


# A worker over SSH


@pytest.fixture
def over_ssh(verillm, tiny, variants, cable, tmp_path):
    """An experiment, its prover on the other host behind SSH, and its verifier."""
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key], check=True)
    server = {
        "Port": 22, "HostKey": tmp_path / "host", "AuthorizedKeysFile": tmp_path / "user.pub", "PidFile": "none", "UsePAM": "no",
        "PermitRootLogin": "prohibit-password", "PasswordAuthentication": "no",
        # Temporary folders belong to everybody.
        "StrictModes": "no",
        "SetEnv": f"VERILLM_CACHE={tmp_path / 'cache'}",
        "ClientAliveInterval": 1,
    }  # fmt: skip
    client = {
        "HostName": cable.there.address, "User": "root", "IdentityFile": tmp_path / "user", "IdentitiesOnly": "yes", "BatchMode": "yes",
        "UserKnownHostsFile": tmp_path / "known_hosts", "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes",
    }  # fmt: skip
    for name, settings in (("sshd_config", server), ("ssh_config", client)):
        (tmp_path / name).write_text("".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8")
    (tmp_path / "known_hosts").write_text(f"{cable.there.address} {(tmp_path / 'host.pub').read_text(encoding='utf-8')}", encoding="utf-8")
    cable.there.start_service("/usr/sbin/sshd", "-D", "-f", tmp_path / "sshd_config", "-E", tmp_path / "sshd.log")
    wait_until(lambda: answers(cable, 22))
    command = ["ssh", "-F", tmp_path / "ssh_config", "there", verillm, "worker", "--models", tiny.parent]
    experiment = Experiment(verillm, tiny, cable.here, tmp_path, {"there": {"command": [str(word) for word in command]}})
    return experiment, f"{variants[0]}@there", variants[1]


@pytest.fixture
def signal_worker(verillm, cable):
    """Sends a signal to the worker on the other host."""

    def send(number):
        (pid,) = cable.there.processes(verillm, "worker")
        os.kill(pid, number)

    return send


def test_worker_over_ssh_and_local_one_verify_each_other(over_ssh, tmp_path):
    assert_passes_both_ways(*over_ssh)
    # Each host has turns of its own, although they share the cache here.
    assert {"turn.here", "turn.there"} <= {path.name for path in (tmp_path / "cache").iterdir()}


def test_lost_link_to_a_worker_is_an_error_and_the_run_goes_on_once_it_is_back(over_ssh, verillm, cable):
    def mend():
        wait_until(lambda: not cable.there.processes(verillm, "worker"))
        cable.mend()

    errors = assert_survives(*over_ssh, cable.cut, mend, WORKER_TIMEOUT)
    assert f"nothing was heard of it for {WORKER_TIMEOUT} seconds" in errors


def test_worker_killed_on_the_other_host_is_an_error_and_the_run_goes_on_with_another(over_ssh, signal_worker):
    errors = assert_survives(*over_ssh, lambda: signal_worker(signal.SIGKILL), lambda: None, WORKER_TIMEOUT)
    assert "died" in errors


def test_frozen_worker_on_the_other_host_is_an_error_and_the_run_goes_on_once_it_is_gone(over_ssh, signal_worker):
    errors = assert_survives(*over_ssh, lambda: signal_worker(signal.SIGSTOP), lambda: signal_worker(signal.SIGCONT), WORKER_TIMEOUT)
    assert f"nothing was heard of it for {WORKER_TIMEOUT} seconds" in errors


# A device over RPC


class RpcServer:
    """`verillm rpc-server` on the other host."""

    def __init__(self, verillm, device, cable):
        self.cable = cable
        self.endpoint = f"{cable.there.address}:{PORT}"
        self.command = cable.there.on(verillm, "rpc-server", "--device", device, "--listen", self.endpoint)
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.cable, PORT))

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def rpc_server(verillm, variants, cable):
    server = RpcServer(verillm, variants[0], cable)
    yield server
    server.kill()


@pytest.fixture
def over_rpc(verillm, tiny, variants, cable, rpc_server, tmp_path):
    """An experiment, its prover's device, which is on the other host, and its verifier."""
    return Experiment(verillm, tiny, cable.here, tmp_path, {}), f"rpc:{rpc_server.endpoint}", variants[1]


def test_device_over_rpc_and_local_one_verify_each_other(over_rpc):
    assert_passes_both_ways(*over_rpc)


# The server has to notice as well, since it serves one client at a time.
def test_lost_link_to_an_rpc_server_is_an_error_and_the_run_goes_on_once_it_is_back(over_rpc, cable):
    errors = assert_survives(*over_rpc, cable.cut, cable.mend, RPC_TIMEOUT)
    assert "nothing was heard of the other host for 20 seconds" in errors


def test_rpc_server_that_is_killed_is_an_error_and_the_run_goes_on_with_another(over_rpc, rpc_server):
    assert_survives(*over_rpc, rpc_server.kill, rpc_server.start, 0)


# No silence of its host: the network there answers.
def test_rpc_server_that_is_frozen_is_waited_for(over_rpc, rpc_server):
    experiment, prover, verifier = over_rpc
    process = experiment.start("--prover", prover, "--verifier", verifier, "--scenario", 1, "--trials", 2)
    wait_until(lambda: experiment.trials() or process.poll() is not None)
    rpc_server.process.send_signal(signal.SIGSTOP)
    time.sleep(RPC_TIMEOUT)
    assert process.poll() is None
    rpc_server.process.send_signal(signal.SIGCONT)
    code, errors = result_of(process)
    assert code == 0, errors
