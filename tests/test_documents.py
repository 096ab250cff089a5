"""Every command that the documents show is run as it is shown, each document in a folder of its own, and prints what is shown;
where it cannot be run here it is held against the options that there are. Every link and path that they name exists."""

import json
import os
import re
import subprocess
import time

import pytest
from conftest import ROOT
from documents import DOCUMENTS, MANUALS, Command, anchors, commands_of, inline_code, links, missing_line, pattern

# Commands that are not run, and why: what this pattern finds. Those of verillm are parsed instead.
NOT_RUN = {
    r"\./demo": "builds everything, and runs for a minute",
    r"\./test": "runs this test",
    r"cmake ": "builds everything",
    r"configs/(bakeoff|detection|precision|sampling|detection-floor|false-alarms|devices)\.yaml": "takes minutes to hours",
    r"calibrate --config configs/calibration\.yaml --(out|devices cpu --output-tokens 125)": "takes minutes",
    r"synth --like qwen2\.5-7b": "writes 15 GB",
    r"benchmarks/": "takes minutes to hours",
    r"report data/raw/bakeoff": "needs the results of what takes minutes",
    r"Qwen2\.5-7B-Instruct-F16\.gguf": "needs 15 GB of weights, and other machines",
    r"^ssh ": "needs other machines",
    r"brew ": "is for a Mac",
}

# What is shorter in the test than in the document.
SHORTER = {
    "configs/exp2.yaml --output-tokens 100": "configs/exp2.yaml --output-tokens 20 --trials 1 --verifiers 1",
}

# What a reader puts in the place of dots.
FILLED_IN = {
    '--prompt "..."': '--prompt "Name three uses of a water wheel."',
    "--beacon 1f0c...e2": "--beacon 1f0c5a90c2d3e4f51f0c5a90c2d3e4e2",
}


def reason_not_to_run(command):
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command.text)), None)


@pytest.fixture(scope="module")
def as_run(run, variants):
    """Makes of a command what can be run here: shortened, filled in, the best CPU variant for one that is not here."""
    done = run("devices", "--json")
    can_run = {device["name"]: device["can_run"] for device in json.loads(done.out)["devices"]}

    def text(command):
        for shown, instead in {**SHORTER, **FILLED_IN}.items():
            command.text = command.text.replace(shown, instead)
        return command.text if can_run.get("cpu:zen4") else command.text.replace("cpu:zen4", variants[0])

    return text


@pytest.fixture
def sandbox(verillm, tmp_path):
    """A folder that looks like a checkout to commands, and the environment they run in."""
    for name in ("configs", "scripts", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "build").symlink_to(verillm.parent.parent)
    environment = {**os.environ, "PATH": f"{verillm.parent}:{os.environ['PATH']}", "VERILLM_PASSPHRASE": "correct horse"}
    return tmp_path, environment


@pytest.fixture
def calibrated(sandbox):
    """What the commands that learn would leave, and take minutes for."""
    folder, _ = sandbox
    for name in ("calibration.json", "quick.json"):
        (folder / name).write_bytes((ROOT / "configs/calibrations/smollm2-135m.json").read_bytes())


# The Chinese README shows the commands of the English one.
@pytest.mark.parametrize("document", [path for path in MANUALS if path.name != "README.zh-CN.md"], ids=lambda path: path.name)
def test_commands_do_what_is_shown(document, sandbox, calibrated, parsed, as_run):
    folder, environment = sandbox
    for command in commands_of(document):
        text = as_run(command)
        if command.has_placeholder() or reason_not_to_run(command):
            parsed(command)
            continue
        if "receipt challenge" in text:
            time.sleep(1)  # A beacon is of a later second than the receipt.
        done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300, check=False)  # fmt: skip
        assert done.returncode == command.code, f"{text}\n{done.stdout}"
        assert missing_line(command.output, done.stdout.splitlines()) is None, f"{text}\n{done.stdout}"


def test_readmes_show_the_same_commands():
    english, chinese = ([command.text for command in commands_of(ROOT / name)] for name in ("README.md", "README.zh-CN.md"))
    assert english == chinese


# Commands that are parsed


class Parser:
    """What `verillm --help` says of each subcommand."""

    def __init__(self, run):
        self.run = run
        self.known = {}

    def help(self, *words):
        if words not in self.known:
            done = self.run(*words, "--help")
            assert done.code == 0, done.err
            self.known[words] = done.out
        return self.known[words]

    def options(self, words):
        """The subcommand that words begin with, and its options."""
        path = []
        for word in words:
            if f"\n  {word} " not in self.help(*path).partition("\nSubcommands:")[2]:
                break
            path.append(word)
        return path, {"-h", *re.findall(r"^  (?:-h, )?(--[a-z-]+)", self.help(*path), flags=re.MULTILINE)}

    def check(self, words):
        path, options = self.options(words)
        assert path or words[0] in options, f"verillm {' '.join(words)}: no such subcommand"
        for word in words:
            assert not word.startswith("-") or word in options, f"verillm {' '.join(words)}: no option {word}"
            assert not word.startswith("configs/") or (ROOT / word).exists(), f"{word} does not exist"


@pytest.fixture(scope="module")
def parser(run):
    return Parser(run)


@pytest.fixture
def parsed(parser, verillm):
    """Holds a command against what there is, without running it."""

    def check(command):
        if re.match(r"verillm |ssh |for ", command.text):
            words = Command(command.text.rpartition("verillm ")[2]).words()
            parser.check(words)
            # So are values, where they are real ones.
            if command.text.startswith("verillm ") and not command.has_placeholder():
                assert parser.run(*words, "--help").code == 0, command.text
            return
        cache = (verillm.parent.parent / "CMakeCache.txt").read_text(encoding="utf-8")
        for word in command.words():
            if word.startswith("-DVERILLM_"):
                assert f"\n{word[2:].partition('=')[0]}:" in cache, f"{command.text}: no option {word}"
            if re.match(r"(\./|scripts/|benchmarks/)", word):
                assert (ROOT / word).exists(), f"{command.text}: {word} does not exist"

    return check


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_sentences_exist(document, parser):
    for code in inline_code(document.read_text(encoding="utf-8")):
        if re.match(r"verillm (?!\w+ v1$)", code):
            parser.check([part.strip("[]") for part in code.split(" ")[1:] if re.match(r"\[?[-a-z]", part)])


# Lists that do not rot


def test_what_is_not_run_is_still_shown():
    shown = [command.text for document in MANUALS for command in commands_of(document)]
    for expression in NOT_RUN:
        assert any(re.search(expression, text) for text in shown), f"NOT_RUN: no document shows {expression}"
    for text in [*SHORTER, *FILLED_IN]:
        assert any(text in command for command in shown), f"no document shows {text}"


# Links and paths


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for link in links(document.read_text(encoding="utf-8")):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(document):
    folders = "benchmarks|cmake|configs|docs|examples|fuzz|include|scripts|src|tests"
    for code in inline_code(document.read_text(encoding="utf-8")):
        for path in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./*-]+", code):
            assert "NAME" in path or list(ROOT.glob(path.rstrip("./"))), f"{document.name} names {path}"


def test_index_names_every_document():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        assert document.name == "README.md" or f"({document.name})" in index, document.name


def test_messages_in_the_table_of_remedies_exist():
    """Their parts between what varies stand in the source, where one is put together of several lines."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.cc"))
    source = re.sub(r'"\s*\n\s*"', "", source)
    text = (ROOT / "docs" / "two-machines.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", text.partition("## When it fails")[2], flags=re.MULTILINE)
    assert len(rows) > 10
    for message in re.findall(r"`([^`]+)`", " ".join(rows)):
        for part in re.split(r'\.\.\.|"[^"]*"|\b[A-Z]\b|\b\d+\b|\bcuda:0\b|\b(?:CUDA|M|N)\b', message):
            part = part.strip(" ;:(),")
            assert part.startswith("verillm: command") or part in source, f"no message has {part!r} of {message!r}"


# The rule by which output is compared


def test_output_is_compared_but_for_numbers():
    printed = ["accept (paper): 99.2 % of the pairs, in 1.2 s", "key id 57D8CA4366C57237 on cpu:zen4", "more"]
    assert missing_line(["accept (paper): 98.7 % of the pairs, in 870 ms", "...", "more"], printed) is None
    assert missing_line(["accept ...", "key id 0123456789ABCDEF on cpu:haswell"], printed) is None
    assert missing_line(["reject (paper): 99.2 % of the pairs, in 1.2 s"], printed) is not None
    assert missing_line(["more", "accept ..."], printed) == "accept ..."
    assert pattern("reject") != pattern("accept")
