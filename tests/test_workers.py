"""Workers beside each other: they take turns, whatever becomes of the one whose turn it is, and cost nothing between requests."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import ROOT, assert_usage
from frames import TalkingWorker

WAITING = {"type": "progress", "phase": "waiting for another worker of this host", "done": 0, "total": 0}


@pytest.fixture
def cache(tmp_path):
    """A cache of its own, and with it turns that nobody else takes."""
    return tmp_path / "cache"


@pytest.fixture
def worker(verillm, model, cache):
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(TalkingWorker(verillm, model, *options, cache=cache))


@contextlib.contextmanager
def somebody_else_computes(cache):
    cache.mkdir(exist_ok=True)
    with open(cache / f"turn.{socket.gethostname()}", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ggml's threads spin while they compute, and OpenMP's for some milliseconds afterwards.
@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_worker_burns_nothing_between_requests(worker):
    one = worker()
    one.load()
    one.generate(8)
    before = cpu_seconds(one.process.pid)
    time.sleep(1)
    assert cpu_seconds(one.process.pid) - before <= 0.1
    before = cpu_seconds(one.process.pid)
    time.sleep(1)
    assert cpu_seconds(one.process.pid) - before <= 0.02


def test_worker_waits_for_one_that_computes_and_goes_on_when_that_is_killed(worker):
    first, second = worker(), worker()
    first.load()
    first.generate(1500, until="prompt")
    assert second.load(until="progress")[-1] == WAITING
    # The first goes on computing meanwhile.
    first.hear_until("tokens")
    os.kill(first.process.pid, signal.SIGKILL)
    assert second.hear_until("done")[-1]["waited_seconds"] > 0


def test_worker_that_shares_does_not_wait(worker, cache):
    with somebody_else_computes(cache):
        sharing, waiting = worker("--share"), worker()
        assert sharing.load()[-1]["waited_seconds"] == 0
        assert sharing.generate(2)[-1]["waited_seconds"] == 0
        assert waiting.load(until="progress")[-1] == WAITING
    assert waiting.hear_until("done")[-1]["waited_seconds"] > 0


@pytest.fixture
def start(verillm, cache):
    """Starts a command whose workers may be silent for 5 seconds."""

    def call(*arguments):
        command = [str(verillm), *map(str, arguments), "--worker-timeout", "5", "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "VERILLM_CACHE": str(cache)}, cwd=ROOT)

    return call


def result_of(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_waiting_is_no_silence_and_in_no_result(start, model, cache, tmp_path):
    results = []
    for command in (["infer", "--prompt", "Hello", "--output-tokens", 4, "--out", tmp_path / "out"], ["verify", tmp_path / "out"]):
        with somebody_else_computes(cache):
            process = start(*command, "--model", model)
            time.sleep(7)
            assert process.poll() is None, process.stderr.read()
        results.append(result_of(process))
    assert 0 < results[0]["prefill_seconds"] + results[0]["decode_seconds"] < 5
    assert 0 < results[1]["verification_seconds"] < 5


def test_time_in_which_everything_is_stopped_is_no_silence(start, model, cache, tmp_path):
    with somebody_else_computes(cache):
        client = start("infer", "--prompt", "Hello", "--output-tokens", 4, "--out", tmp_path / "out", "--model", model)
        children = Path(f"/proc/{client.pid}/task/{client.pid}/children")
        while not children.read_text():
            assert client.poll() is None, client.stderr.read()
            time.sleep(0.1)
        pids = [client.pid, int(children.read_text())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(7)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.5)
    assert result_of(client)["n_output"] == 4


@pytest.mark.parametrize("seconds", ["4", "86401", "-1", "soon"])
@pytest.mark.parametrize("command", ["infer", "verify", "experiment run", "calibrate", "attack run", "receipt check", "receipt recheck"])
def test_timeout_that_no_worker_could_keep_is_refused(run, command, seconds):
    assert_usage(run(*command.split(), "--worker-timeout", seconds), "--worker-timeout")
