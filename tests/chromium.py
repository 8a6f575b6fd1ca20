"""A page in headless Chromium, driven through the DevTools protocol over a pipe: no port, no driver, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

__all__ = ["CHROMIUM", "Browser", "needs_chromium"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page with")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
_PATIENCE = 30.0
"""Seconds until a browser that does not answer is given up."""


class Browser:
    """One tab, and what it complained of: a context manager that ends its own process.

    Attributes:
        complaints: console errors and warnings, uncaught exceptions, entries of the log (a policy that was broken).
        requests: addresses of everything that was asked for beside ``file:`` and ``data:``.
        dialogs: messages of the dialogs that opened; they are closed at once.
    """

    def __init__(self, profile: Path) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._numbers = 0
        self._session = ""
        self._events: list[dict[str, Any]] = []
        self._rest = b""
        out, self._write = os.pipe()
        self._read, back = os.pipe()

        def wire() -> None:  # the browser reads from 3 and writes to 4
            high_out, high_back = os.dup(out), os.dup(back)
            os.dup2(high_out, 3)
            os.dup2(high_back, 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(out)
        os.close(back)

    def __enter__(self) -> Self:
        pages = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def open(self, address: str) -> None:
        """Go to an address, and wait until the page and its scripts have loaded."""
        self._events.clear()
        self.ask("Page.navigate", url=address)
        self._until(lambda: any(e["method"] == "Page.loadEventFired" for e in self._events))

    def run(self, script: str) -> Any:
        """Return what an expression is worth in the page; a promise is waited for.

        Raises:
            RuntimeError: it threw.
        """
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        self.until(lambda: bool(self.run(f"Boolean({condition})")), condition)

    def until(self, condition: Callable[[], bool], what: str = "it") -> None:
        """Wait until something is so."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come true; {self.complaints}")
            time.sleep(0.02)

    def press(self, key: str, *, code: int = 0, text: str = "") -> None:
        """Press and let go a key, as a keyboard would."""
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click into the middle of the first element that a selector finds, as a mouse would."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        x, y = self.middle(selector)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view, and return where its middle is."""
        script = f"""(async () => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center", behavior: "instant"}});
            for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame); // its events are over by then
            const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        x, y = self.run(script)
        return x, y

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol, and return its result."""
        self._numbers += 1
        number = self._numbers
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer: list[dict[str, Any]] = []
        self._until(lambda: any(answer), number, answer)
        if "error" in answer[0]:
            raise RuntimeError(f"{method}: {answer[0]['error']}")
        return answer[0]["result"]

    def _until(self, done: Callable[[], bool], number: int = -1, answer: list[dict[str, Any]] | None = None) -> None:
        while not done():
            head, end, self._rest = self._rest.partition(b"\0")
            if not end:
                more = os.read(self._read, 1 << 20)
                if not more:
                    raise RuntimeError("the browser went away")
                self._rest = head + more
                continue
            message = json.loads(head)
            if message.get("id") == number and answer is not None:
                answer.append(message)
            elif "method" in message:
                self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        name, facts = event["method"], event["params"]
        if name == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(a.get("value", a.get("description"))) for a in facts["args"]))
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif name == "Log.entryAdded":
            self.complaints.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif name == "Network.requestWillBeSent":
            address = facts["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.requests.append(address)
        elif name == "Page.javascriptDialogOpening":
            self.dialogs.append(facts["message"])
            self._numbers += 1
            closing = {"id": self._numbers, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
            os.write(self._write, json.dumps({**closing, "sessionId": self._session}).encode() + b"\0")
