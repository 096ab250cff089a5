"""Two hosts on one machine, as far as names, processes and network go: Linux namespaces, and a cable between them."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

# An empty /run, with the folder that sshd wants there, leaves that of the machine alone.
BOOT = """
set -e
hostname "$0"
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir /run/sshd
echo up
exec sleep infinity
"""


class Host:
    """A host with a name, an address and processes of its own, which end with it; files are those of the machine."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        command = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT, name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "up\n":
            pytest.skip(f"no namespaces can be made here: {self.process.communicate()[1].strip()}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="utf-8")
        self.pid = int(children)
        self.services = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        for service in self.services:
            service.wait()

    def on(self, *command):
        """The command as it is to be started, to run on this host. Its process is a child of the caller, who sees to its end."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", "--", *map(str, command)]

    def start_service(self, *command):
        """Starts what ends with the host."""
        self.services.append(subprocess.Popen(["nsenter", "--target", str(self.pid), "--all", "--", *map(str, command)]))

    def run(self, *command):
        subprocess.run(self.on(*command), check=True)

    def processes(self, *words):
        """Processes here whose command begins with these words."""
        network = os.readlink(f"/proc/{self.pid}/ns/net")
        wanted = [os.fsencode(word) for word in words]
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            # A process may end meanwhile.
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().split(b"\0")[: len(wanted)] == wanted and os.readlink(folder / "ns" / "net") == network:
                    found.append(int(folder.name))
        return found


class Cable:
    """Between two hosts. While it is cut nothing comes through, and nobody is told."""

    def __init__(self, first, second):
        self.end = first
        first.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(second.pid))
        for host in (first, second):
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "cable")
            host.run("ip", "link", "set", "cable", "up")

    def cut(self):
        self.end.run("ip", "link", "set", "cable", "down")

    def mend(self):
        self.end.run("ip", "link", "set", "cable", "up")
