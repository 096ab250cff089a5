"""The manual pages: one for each subcommand, clean, and installed with the program."""

import re
import subprocess

import pytest


def subcommands(run, *words):
    """Every subcommand that --help lists, as words, the command itself first."""
    done = run(*words, "--help")
    assert done.code == 0, done.err
    found = [words]
    for name in re.findall(r"^  ([a-z-]+)", done.out.partition("\nSubcommands:\n")[2], flags=re.MULTILINE):
        found += subcommands(run, *words, name)
    return found


@pytest.fixture(scope="module")
def installed(verillm, tmp_path_factory):
    """Folder that the build is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", verillm.parent.parent, "--prefix", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def pages(installed):
    return installed / "share" / "man" / "man1"


def test_every_subcommand_has_a_page_that_names_its_options(run, pages):
    every = subcommands(run)
    assert len(every) > 30
    assert {path.name for path in pages.iterdir()} == {"-".join(("verillm", *words)) + ".1" for words in every}
    for words in every:
        page = (pages / ("-".join(("verillm", *words)) + ".1")).read_text(encoding="utf-8").replace("\\", "")
        options = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", run(*words, "--help").out, flags=re.MULTILINE))
        assert "--help" in options
        for option in options:
            assert f"fB{option}fR" in page, (words, option)


def test_pages_are_clean(pages):
    lint = ["mandoc", "-Tlint", "-W", "warning", *sorted(pages.iterdir())]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout


def test_page_reads_as_text(pages):
    done = subprocess.run(["mandoc", "-Tascii", pages / "verillm-receipt-check.1"], capture_output=True, text=True, check=True)
    text = re.sub(r".\x08", "", done.stdout)
    assert "verillm receipt check [OPTIONS] receipt opening" in text
    assert "--challenge TEXT\n" in text and "verillm-receipt(1)" in text


def test_installed_program_runs(installed):
    done = subprocess.run([installed / "bin" / "verillm", "devices"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cpu:" in done.stdout
