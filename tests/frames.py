"""Frames of the worker protocol (docs/formats.md, section 4), and a worker to talk to."""

import hashlib
import json
import os
import struct
import subprocess


def frame(head, payload=b""):
    """A frame as bytes; the head may be bytes that are no JSON."""
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<II", len(head), len(payload)) + head + payload


def read_frame(stream):
    """Head and payload of the next frame."""
    prefix = stream.read(8)
    assert len(prefix) == 8, "the worker is gone"
    n_head, n_payload = struct.unpack("<II", prefix)
    return json.loads(stream.read(n_head)), stream.read(n_payload)


class TalkingWorker:
    """The real worker, with the test as its client."""

    def __init__(self, verillm, model, *options, cache):
        self.model = model
        command = [verillm, "worker", "--device", "cpu", "--models", model.parent, *options]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "VERILLM_CACHE": str(cache)}
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def say(self, head, payload=b""):
        self.process.stdin.write(frame(head, payload))
        self.process.stdin.flush()

    def hear_until(self, kind):
        """The messages up to and with the first of that type."""
        heard = []
        while not heard or heard[-1]["type"] != kind:
            heard.append(read_frame(self.process.stdout)[0])
            assert heard[-1]["type"] != "error" or kind == "error", heard[-1]
        return heard

    def ask(self, head, payload=b"", until="done"):
        self.say(head, payload)
        return self.hear_until(until)

    def load(self, until="done"):
        with open(self.model, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self.ask({"type": "load", "digest": digest, "file_bytes": self.model.stat().st_size}, until=until)

    def generate(self, n_tokens, until="done"):
        request = {
            "type": "generate",
            "raw": False,
            "sampling": {"temperature": 0, "top_p": 1, "seed": 1, "ignore_end": True},
            "output_tokens": n_tokens,
            "plan": {"points": ["0", "final"], "states": "bf16"},
            "schedule": {"context": 0, "chunk": 0, "threads": 0, "flash_attention": "auto", "cache": "f16", "sequences": 1, "shared_prefix": 0},
        }
        return self.ask(request, b"Name three uses of a water wheel.", until)
