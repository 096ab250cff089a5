"""What the end-to-end tests share: the command, the small model, a recorded inference."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def verillm():
    """Path of the command under test."""
    path = Path(os.environ.get("VERILLM", ROOT / "build" / "bin" / "verillm"))
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
