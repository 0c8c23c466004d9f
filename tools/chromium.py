"""A Chromium without a window, driven through its debugging pipe: nothing but the standard library, and no port.

Two files of the process, 3 and 4, carry messages in JSON that end with a zero byte (the Chrome DevTools Protocol).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: Longest wait for an answer or an event, in seconds.
PATIENCE = 30.0
#: Events that tell that a page is there, or a place on the same page.
ARRIVALS = frozenset({"Page.loadEventFired", "Page.navigatedWithinDocument"})
#: Events that tell of a fault on a page.
FAULTS = frozenset({"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"})


class Failed(Exception):
    """The browser refused something, or did not answer in time."""


def found() -> str | None:
    """The browser of this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser: what is opened in it, what is run on it, what goes wrong on it."""

    def __init__(self, asking: BinaryIO, answering: BinaryIO) -> None:
        self._asking, self._answering, self._rest, self._number = asking, answering, b"", 0
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the protocol.

        Raises:
            Failed: the browser says why not, or says nothing.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        self._asking.write(json.dumps(message).encode() + b"\0")
        answer = self._until(method, lambda read: read.get("id") == self._number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def sized(self, width: int, height: int, dark: bool = False) -> None:
        """Give the window a size in CSS pixels, and the reader a taste."""
        phone = width < 600
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + phone, mobile=phone
        )
        taste = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[taste])

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is there."""
        self.arriving(lambda: self.ask("Page.navigate", url=address))

    def arriving(self, going: Callable[[], object]) -> None:
        """Do what leads to another page, and wait until that is there."""
        self._events = [event for event in self._events if event["method"] not in ARRIVALS]
        going()
        if not any(event["method"] in ARRIVALS for event in self._events):
            self._until("the page", lambda read: read.get("method") in ARRIVALS)

    def run(self, script: str) -> Any:
        """What an expression in JavaScript comes to, awaited if it is a promise.

        Raises:
            Failed: it throws.
        """
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(_said(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse there."""
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Write where the cursor is."""
        self.ask("Input.insertText", text=text)

    def faults(self) -> list[str]:
        """What went wrong since the last call: exceptions of scripts, errors of the console, files that are missing."""
        self.run("0")  # everything that came before it has been read then
        told, self._events = self._events, []
        return [line for event in told if event["method"] in FAULTS for line in _complaint(event)]

    def _until(self, what: str, is_it: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """Read messages and keep the events among them, up to one that is asked for."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self._message(end)
            if message.get("method") is not None:
                self._events.append(message)
            if is_it(message):
                return message
        raise Failed(f"{what}: no answer in {PATIENCE:.0f} s")

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answering], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return {}
            more = os.read(self._answering.fileno(), 1 << 20)
            if not more:
                raise Failed("the browser has ended")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))


def _said(details: Mapping[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])


def _complaint(event: Mapping[str, Any]) -> Iterator[str]:
    facts = event["params"]
    if event["method"] == "Runtime.exceptionThrown":
        yield _said(facts["exceptionDetails"])
    elif event["method"] == "Log.entryAdded" and facts["entry"]["level"] == "error":
        yield f"{facts['entry']['text']} {facts['entry'].get('url', '')}".strip()
    elif event["method"] == "Runtime.consoleAPICalled" and facts["type"] in {"error", "assert"}:
        yield " ".join(str(part.get("value", part.get("description", ""))) for part in facts["args"])


@contextmanager
def browsing(program: str) -> Iterator[Tab]:
    """A new browser with one tab and a profile of its own, ended and removed afterwards."""
    to_it, from_us = os.pipe()
    to_us, from_it = os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_it, from_it)]
    # The shell puts them in their places: Python code between fork and exec would not do beside threads.
    placing = f'exec "$@" 3</dev/fd/{theirs[0]} 4>/dev/fd/{theirs[1]}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", *_flags()]
        process = subprocess.Popen(
            ["sh", "-c", placing, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=theirs,
        )
        for end in (to_it, from_it, *theirs):
            os.close(end)
        try:
            with os.fdopen(from_us, "wb", 0) as asking, os.fdopen(to_us, "rb", 0) as answering:
                yield Tab(asking, answering)
        finally:
            process.kill()
            process.wait()


def _flags() -> list[str]:
    """No network but to this machine; as root, as in most containers, the sandbox cannot be had."""
    quiet = ["--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
    contained = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
    return [*quiet, "--force-prefers-reduced-motion", *contained]


def picture(tab: Tab, path: Path, whole: bool = False) -> None:
    """Write what is seen, or the whole page, as PNG."""
    data = tab.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
    path.write_bytes(base64.b64decode(data["data"]))
