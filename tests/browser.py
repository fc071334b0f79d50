"""A page in headless Chromium, driven by chromedriver over its own protocol (W3C WebDriver)."""

import base64
import io
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
KEYS = {"ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015"}
KEYS |= {"Home": "\ue011", "End": "\ue010", "Escape": "\ue00c", "Tab": "\ue004"}


class Page:
    """One window of a browser that was started for it."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, path: Path) -> None:
        """Show a local file and wait until it has loaded; forget what was logged before."""
        for kind in ("browser", "performance"):
            self.log(kind)
        self._post("url", {"url": path.resolve().as_uri()})

    def js(self, code: str, *given: object) -> Any:
        """Run the body of a function and return its result."""
        return self._post("execute/sync", {"script": code, "args": list(given)})

    def wait(self, condition: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + seconds
        while not self.js(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"never became true: {condition}"
            time.sleep(0.02)

    def size(self, width: int, height: int = 800, *, mobile: bool = False) -> None:
        """Set the size of the window's contents in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, **features: str) -> None:
        """Set media features, such as ``prefers_color_scheme="dark"``."""
        listed = [{"name": name.replace("_", "-"), "value": v} for name, v in features.items()]
        self.cdp("Emulation.setEmulatedMedia", {"features": listed})

    def point(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        x, y = self._middle(selector)
        moved = {"type": "mouseMoved", "x": x, "y": y, "pointerType": "mouse"}
        self.cdp("Input.dispatchMouseEvent", moved)

    def tap(self, selector: str) -> None:
        """Touch the middle of an element and let go."""
        x, y = self._middle(selector)
        touched = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
        self.cdp("Input.dispatchTouchEvent", touched)
        self.cdp("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def press(self, key: str) -> None:
        """Press a key of `KEYS`, or type a character."""
        value = KEYS.get(key, key)
        steps = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        self._post("actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def picture(self) -> Image.Image:
        """What the window shows."""
        return Image.open(io.BytesIO(base64.b64decode(_call("GET", f"{self._session}/screenshot"))))

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What the page logged since last asked: ``browser`` (console) or ``performance``."""
        return self._post("se/log", {"type": kind})

    def requests(self) -> list[str]:
        """The addresses asked for since last asked, without data embedded in the page."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def cdp(self, command: str, given: dict[str, Any]) -> Any:
        """Send a command of the Chrome DevTools Protocol."""
        return self._post("goog/cdp/execute", {"cmd": command, "params": given})

    def _middle(self, selector: str) -> tuple[float, float]:
        return tuple(
            self.js(
                "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'nearest'});"
                "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]",
                selector,
            )
        )

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _call("POST", f"{self._session}/{path}", body)


@contextmanager
def browser(driver: str, binary: str, profile: Path) -> Iterator[Page]:
    """Start chromedriver and Chromium with an empty profile, and stop them afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([driver, f"--port={port}"], stdout=quiet, stderr=quiet)
    try:
        base = f"http://127.0.0.1:{port}/session"
        session = f"{base}/{_started(base, binary, profile)['sessionId']}"
        try:
            yield Page(session)
        finally:
            _call("DELETE", session)
    finally:
        process.terminate()
        process.wait()


def _started(base: str, binary: str, profile: Path) -> Any:
    options = {"binary": binary, "args": [*FLAGS, f"--user-data-dir={profile}"]}
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    for _ in range(1200):
        try:
            return _call("POST", base, {"capabilities": {"alwaysMatch": wanted}})
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.05)
    raise TimeoutError("chromedriver did not start")


def _call(method: str, address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{address}: {error.read().decode()[:500]}") from None
