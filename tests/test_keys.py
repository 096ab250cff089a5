"""Keys: made with and without a passphrase, typed or given; never overwritten unasked; and read by the real minisign."""

import fcntl
import json
import os
import pty
import select
import stat
import subprocess
import termios

import pytest

from conftest import ROOT, Done, assert_refused, assert_usage

INTERRUPTED = 130
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def generate(run):
    """Runs `key generate` with the passphrase in the environment, or without a terminal to ask for one."""

    def call(*arguments, passphrase=PASSPHRASE):
        environment = {name: value for name, value in os.environ.items() if name != "VERILLM_PASSPHRASE"}
        if passphrase is not None:
            environment["VERILLM_PASSPHRASE"] = passphrase
        return run("key", "generate", *arguments, env=environment, start_new_session=True)

    return call


@pytest.fixture
def show(run):
    """What `key show --json` says."""

    def call(key):
        done = run("key", "show", key, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    return call


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


# With a passphrase, or without


def test_key_pair_is_written_and_shown(generate, run, show, tmp_path):
    key = tmp_path / "key"
    done = generate(key)
    assert done.code == 0, done.err
    assert set(contents(tmp_path)) == {"key", "key.pub"}
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert str(key) in done.err and "encrypted under its passphrase" in done.err

    comment, line = (tmp_path / "key.pub").read_text().splitlines()
    said = show(key)
    assert said == {"key_id": said["key_id"], "public_key": line, "has_secret_key": True, "encrypted": True}
    assert comment == f"untrusted comment: verillm public key {said['key_id']}"
    assert show(tmp_path / "key.pub") == said | {"has_secret_key": False, "encrypted": False}
    assert done.out.split() == ["key", "id", said["key_id"], "public", "key", line]
    assert run("key", "show", key).out == done.out + "secret key  encrypted\n"
    assert run("key", "show", tmp_path / "key.pub").out == done.out


def test_passphrase_stands_nowhere(generate, tmp_path):
    done = generate(tmp_path / "key")
    assert not any(PASSPHRASE in text for text in [done.out, done.err, *contents(tmp_path).values()])


def test_key_is_unencrypted_only_if_asked_for(generate, show, tmp_path):
    key = tmp_path / "key"
    done = generate(key, "--no-passphrase")
    assert done.code == 0 and "NOT encrypted" in done.err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    said = show(key)
    assert said["has_secret_key"] and not said["encrypted"]


def test_passphrase_from_a_file_goes_before_the_environment(generate, show, tmp_path):
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    done = generate(tmp_path / "key", "--passphrase-file", file, passphrase="")
    assert done.code == 0, done.err
    assert show(tmp_path / "key")["encrypted"]


@pytest.mark.parametrize("text, word", [("", "is empty"), ("\n", "is empty"), ("one\ntwo\n", "one line"), ("a\r\n", "one line"), ("\0", "one line"), ("x" * 1025, "longer"), ("x" * 1026, "1026")])
def test_passphrase_that_could_not_be_typed_is_refused(generate, tmp_path, text, word):
    file = tmp_path / "passphrase"
    file.write_bytes(text.encode())
    assert_refused(generate(tmp_path / "key", "--passphrase-file", file), file, word)
    assert set(contents(tmp_path)) == {"passphrase"}


def test_missing_passphrase_file_and_empty_variable_are_refused(generate, tmp_path):
    assert_refused(generate(tmp_path / "key", "--passphrase-file", tmp_path / "none"), tmp_path / "none", "No such file")
    assert_refused(generate(tmp_path / "key", passphrase=""), "VERILLM_PASSPHRASE", "is empty")
    assert contents(tmp_path) == {}


def test_no_passphrase_and_its_file_exclude_each_other(generate, tmp_path):
    assert_usage(generate(tmp_path / "key", "--no-passphrase", "--passphrase-file", tmp_path / "x"), "--no-passphrase", "--passphrase-file")


# Files that exist


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_existing_file_is_replaced_only_by_force(generate, show, tmp_path, name):
    (tmp_path / name).write_text("mine")
    # Without a passphrase to be had: nobody is asked for one in vain.
    assert_refused(generate(tmp_path / "key", passphrase=None), tmp_path / name, "exists already", "--force")
    assert contents(tmp_path) == {name: "mine"}

    assert generate(tmp_path / "key", "--force").code == 0
    assert show(tmp_path / "key")["public_key"] == show(tmp_path / "key.pub")["public_key"]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_folder_that_cannot_be_made_is_refused(generate, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_refused(generate(tmp_path / "file" / "key"), tmp_path / "file")
    assert contents(tmp_path) == {"file": "mine"}


@pytest.mark.parametrize("text", ["", "hello\n", "verillm secret key 0, encrypted\nAAAA\n", "x" * 2000])
def test_file_that_is_no_key_is_refused(run, tmp_path, text):
    file = tmp_path / "file"
    file.write_text(text)
    assert_refused(run("key", "show", file), file)


# At the terminal


@pytest.fixture
def typing(verillm, tmp_path):
    """Runs `key generate` at a terminal of its own where each line is typed when the words that ask for it have appeared. Gives how
    it ended and what the terminal showed, which has its echo again afterwards."""

    def call(*dialogue):
        master, slave = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "VERILLM_PASSPHRASE"}
        process = subprocess.Popen(
            [str(verillm), "key", "generate", str(tmp_path / "key")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        shown = b""
        try:
            for prompt, line in dialogue:
                begin = len(shown)
                while prompt not in shown[begin:]:
                    assert select.select([master], [], [], 60)[0], f"{prompt} was not asked for: {shown}"
                    shown += os.read(master, 4096)
                os.write(master, line)
            out, err = process.communicate(timeout=60)
            while select.select([master], [], [], 0)[0]:
                shown += os.read(master, 4096)
            assert termios.tcgetattr(slave)[3] & termios.ECHO
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)
        return Done(process.returncode, out.decode(), err.decode()), shown

    return call


def test_passphrase_is_typed_twice_without_echo(typing, show, tmp_path):
    line = PASSPHRASE.encode() + b"\n"
    done, shown = typing((b"New passphrase", line), (b"once more", line))
    assert done.code == 0, done.err
    assert PASSPHRASE.encode() not in shown
    assert show(tmp_path / "key")["encrypted"]


def test_passphrases_that_differ_are_refused(typing, tmp_path):
    done, _ = typing((b"New passphrase", b"one\n"), (b"once more", b"two\n"))
    assert_refused(done, "differ")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("line, word", [(b"\n", "is empty"), (b"\x04", "no passphrase was typed"), (b"x" * 1500 + b"\n", "longer")])
def test_line_that_is_no_passphrase_is_refused(typing, tmp_path, line, word):
    done, _ = typing((b"New passphrase", line))
    assert_refused(done, word)
    assert contents(tmp_path) == {}


def test_interruption_leaves_the_terminal_as_it_was(typing, tmp_path):
    done, _ = typing((b"New passphrase", b"half\x03"))
    assert done.code == INTERRUPTED, done.err
    assert contents(tmp_path) == {}


def test_without_a_terminal_the_other_ways_are_named(generate, tmp_path):
    done = generate(tmp_path / "key", passphrase=None)
    assert_refused(done, "no terminal", "--passphrase-file", "VERILLM_PASSPHRASE")
    assert contents(tmp_path) == {}


# minisign: a declared dependency, so that its absence is a failure


def minisign(*arguments):
    return subprocess.run(["minisign", *map(str, arguments)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_minisign_reads_our_public_keys_and_we_its(generate, show, tmp_path):
    assert generate(tmp_path / "ours", "--no-passphrase").code == 0
    assert minisign("-G", "-W", "-p", tmp_path / "theirs.pub", "-s", tmp_path / "theirs").returncode == 0
    message = tmp_path / "message"
    message.write_text("message")
    assert minisign("-Sm", message, "-s", tmp_path / "theirs").returncode == 0
    ours, theirs = show(tmp_path / "ours.pub")["key_id"], show(tmp_path / "theirs.pub")["key_id"]
    assert theirs in (tmp_path / "theirs.pub").read_text()

    done = minisign("-Vm", message, "-p", tmp_path / "ours.pub")
    assert done.returncode == 1
    assert f"is {theirs}\n" in done.stderr and f"is {ours}\n" in done.stderr
