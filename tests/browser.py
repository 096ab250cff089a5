"""A headless Chromium for the tests of pages, driven over its DevTools protocol through a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
from urllib.parse import urlparse

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60  # seconds without a word


def program():
    """Path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One browser with one tab, ended on leaving the context."""

    def __init__(self, profile):
        self.profile = profile

    def __enter__(self):
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update", "--disable-background-networking",
                   "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"]
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()

        def place_pipes():
            # Where the browser looks for them; by way of higher numbers, since either may be the other's.
            os.dup2(commands, 13)
            os.dup2(answers, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self.process = subprocess.Popen([program(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=place_pipes, pass_fds=(3, 4))
        os.close(commands)
        os.close(answers)
        self.received = b""
        self.session = None
        self.last_id = 0
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self.commands)
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.answers)

    def receive(self):
        """The next message; they end in a zero byte."""
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            part = os.read(self.answers, 1 << 16) if ready else b""
            assert part, "the browser has ended or hangs"
            self.received += part
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """The result of a command; events that come meanwhile are kept."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last_id:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, path, width, scheme="light"):
        """Loads a file in a window of this width, in the light or dark scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=2 if width < 500 else 1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def complaints(self):
        """What the page has left on the console, uncaught exceptions included."""
        return [event for event in self.events if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]

    def requests(self):
        """The schemes of all that the page has asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return {urlparse(event["params"]["request"]["url"]).scheme for event in sent}

    def picture(self, path, selector=None):
        """Writes a PNG of the page, or of the first element of this selector."""
        box = self.evaluate(f"(e => {{ const b = e.getBoundingClientRect(); return [b.x + scrollX, b.y + scrollY, b.width, b.height]; }})"
                            f"(document.querySelector({json.dumps(selector or 'html')}))")
        clip = dict(zip(("x", "y", "width", "height"), box), scale=1)
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))
