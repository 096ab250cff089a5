"""What the end-to-end tests share: the command, the small model, a recorded inference, the form of refusals."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

INPUT, WORKER, REJECTED, INCONCLUSIVE = 2, 4, 1, 3
HELP = "Run with --help for more information."


def assert_refused(done, *words):
    """Exit code 2, nothing on standard output, one line beside warnings that names everything in `words`."""
    assert done.code == INPUT, done.err
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: the calibration has not learned")]
    assert len(lines) == 1 and lines[0].startswith("verillm: "), done.err
    for word in words:
        assert str(word) in lines[0]


def assert_usage(done, *words):
    """As assert_refused, for what the parser of the options says, which points to --help in a second line."""
    assert done.code == INPUT, done.err
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 2 and lines[1] == HELP, done.err
    for word in words:
        assert word in lines[0]


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def verillm():
    """Path of the command under test."""
    path = Path(os.environ.get("VERILLM", ROOT / "build" / "bin" / "verillm")).resolve()
    assert path.exists(), f"{path} is not built"
    return path


@pytest.fixture(scope="session")
def run(verillm):
    """Runs the command with arguments and gives exit code, output and messages."""

    def call(*arguments, timeout=300, cwd=ROOT, **options):
        done = subprocess.run([str(verillm), *map(str, arguments)], capture_output=True, timeout=timeout, cwd=cwd, **options)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))

    return call


@pytest.fixture(scope="session")
def variants(run):
    """A CPU variant that runs here, and the best one with narrower vectors: cpu:zen4 first, which the shipped calibrations have learned,
    and whose rounding tests know, also where a CPU has a better one."""
    done = run("devices", "--json")
    assert done.code == 0, done.err
    devices = [device for device in json.loads(done.out)["devices"] if device["can_run"] and device["backend"] == "CPU"]
    first = next((device for device in devices if device["name"] == "cpu:zen4"), devices[0])
    other = next((device for device in devices if "avx512f" not in device["needs"] and device != first), devices[-1])
    return first["name"], other["name"]


@pytest.fixture(scope="session")
def model(run):
    """Path of SmolLM2-135M-Instruct in F16."""
    done = run("model", "get", "smollm2-135m")
    assert done.code == 0, done.err
    return Path(done.out.strip())


@pytest.fixture(scope="session")
def trace(run, model, tmp_path_factory):
    """Folder of a short honest inference."""
    folder = tmp_path_factory.mktemp("trace")
    done = run("infer", "--model", model, "--prompt", "Name three uses of a water wheel.", "--output-tokens", 12, "--ignore-end", "--out", folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def damaged(trace, tmp_path):
    """A copy of that folder for a test to damage."""
    folder = tmp_path / "damaged"
    shutil.copytree(trace, folder)
    return folder
