"""A small server for raters' pages on one's own machine, which saves their answers.

It knows three addresses: ``/r/CODE`` (a rater's page), ``/r/CODE/answers`` (GET: what is saved, POST: save
more) and ``/``, which says that one needs a link. No path of a request ever names a file: the code must be
one of the study's. It listens on this machine alone unless told otherwise, answers only under names that it
was given (a page of another site whose name was pointed here is refused), takes JSON of its own pages alone,
and no more than 64 kB.
"""

import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.studies.people.answers import Line, line_of, read_answers
from vlx.studies.people.key import Key, read_key

MOST = 65_536
"""Bytes of a request's body."""
_OFTEN = 50  # answers to one question, on average, after which no more are taken
_SECONDS = 20.0  # that a request may take to arrive
_ROUTE = re.compile(r"/r/([A-Za-z0-9-]{1,64})(/answers)?", re.ASCII)


class Saved:
    """The answers of a study as they come in: one file a rater, whole lines alone."""

    def __init__(self, key: Key, folder: Path) -> None:
        self._key, self._folder = key, folder
        self._lock = threading.Lock()
        self._count: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._of: dict[tuple[str, str], Line] = (
            dict(read_answers(key, folder).of) if _any_known(key, folder) else {}
        )

    def of(self, rater: str) -> list[Line]:
        """The answers of a rater that count, in their order."""
        with self._lock:
            return sorted((one for (who, _), one in self._of.items() if who == rater), key=lambda one: one.n)

    def add(self, rater: str, lines: Sequence[Line]) -> bool:
        """Save answers of one rater, at once; those that are saved already are not again. False: too many."""
        with self._lock:
            new = [one for one in lines if self._of.get((rater, one.question)) != one]
            count = self._count.get(rater, 0) + len(new)
            if count > _OFTEN * len(self._key.raters[rater]):
                return False
            if new:
                _append(self._folder / f"{rater}.jsonl", "".join(one.text(self._key.study) for one in new))
            self._count[rater] = count
            for one in new:
                before = self._of.get((rater, one.question))
                if before is None or one.n >= before.n:
                    self._of[rater, one.question] = one
            return True


def study_server(
    folder: Path, host: str = "127.0.0.1", port: int = 8321, names: Sequence[str] = ()
) -> "StudyServer":
    """A server of the study in a folder, not yet serving; ``names`` are more host names that it answers to.

    Raises VlxError where there is no study with pages, and where the port is taken.
    """
    key = read_key(folder)
    pages = {rater: folder / "pages" / f"{rater}.html" for rater in key.raters}
    missing = [rater for rater, path in pages.items() if not path.is_file()]
    if missing:
        raise VlxError(f"{folder} lacks the pages of {len(missing)} raters: make the study again")
    saved = Saved(key, folder / "answers")
    try:
        return StudyServer((host, port), key, pages, saved, names)
    except OSError as error:
        raise VlxError(f"no server on {host} port {port} ({error.strerror}): give another --port") from None


class StudyServer(ThreadingHTTPServer):
    """Serves one study."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        key: Key,
        pages: Mapping[str, Path],
        saved: Saved,
        names: Sequence[str],
    ) -> None:
        super().__init__(address, _Handler)
        self.key, self.pages, self.saved = key, pages, saved
        host, port = address[0], self.server_address[1]
        known = dict.fromkeys(("127.0.0.1", "localhost", "[::1]", host, *names))
        self.hosts = {f"{name}:{port}".lower() for name in known} | (
            {name.lower() for name in known} if port == 80 else set()
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off ends itself alone."""

    def links(self, name: str | None = None) -> list[str]:
        """The address of each rater's page, under the given name of this machine."""
        host, port = self.server_address[:2]
        return [f"http://{name or host!s}:{port}/r/{rater}" for rater in self.key.raters]


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    server_version, sys_version = "vlx", ""

    def do_GET(self) -> None:
        """A page, or the answers that are saved."""
        if not self._known_host():
            return
        if self.path == "/":
            self._say(HTTPStatus.OK, "This is a study. Open the link that you were given.")
            return
        rater, answers = self._route()
        if rater is None:
            self._say(HTTPStatus.NOT_FOUND, "Nothing is here. Open the link that you were given.")
        elif answers:
            lines = self.server.saved.of(rater)
            facts = [
                {"question": one.question, "answer": one.answer, "n": one.n, "ms": one.ms} for one in lines
            ]
            self._send(HTTPStatus.OK, json.dumps(facts).encode(), "application/json")
        else:
            self._send(HTTPStatus.OK, self.server.pages[rater].read_bytes(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Save answers."""
        self.close_connection = True  # whatever of a body is not read is no next request
        length = self.headers.get("Content-Length", "")
        short = re.fullmatch(r"[0-9]{1,6}", length, re.ASCII) is not None and int(length) <= MOST
        body = self.rfile.read(int(length)) if short else b""  # also of what is refused, or its reply is lost
        if not self._known_host():
            return
        rater, answers = self._route()
        if rater is None or not answers:
            self._say(HTTPStatus.NOT_FOUND, "Nothing is here.")
            return
        refused = self._refused()
        if refused is not None:
            self._say(*refused)
            return
        lines = _lines(self.server.key, rater, body)
        if lines is None:
            self._say(HTTPStatus.BAD_REQUEST, "These are no answers to this study.")
        elif not self.server.saved.add(rater, lines):
            self._say(HTTPStatus.TOO_MANY_REQUESTS, "Too many answers.")
        else:
            self._send(HTTPStatus.OK, b"{}", "application/json")

    def _refused(self) -> tuple[HTTPStatus, str] | None:
        """Why a body is not read at all."""
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self.server.hosts:
            return HTTPStatus.FORBIDDEN, "Answers come from the pages of this study alone."
        if self.headers.get_content_type() != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Answers are JSON."
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not re.fullmatch(r"[0-9]{1,12}", length, re.ASCII):
            return HTTPStatus.LENGTH_REQUIRED, "Say how long the answers are."
        if int(length) > MOST:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too much at once."
        return None

    def _known_host(self) -> bool:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) == 1 and hosts[0].strip().lower() in self.server.hosts:
            return True
        self.close_connection = True
        self._say(HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that name.")
        return False

    def _route(self) -> tuple[str | None, bool]:
        """The rater of an address, and whether it asks for answers."""
        found = _ROUTE.fullmatch(self.path)
        if found is None or found[1] not in self.server.key.raters:
            return None, False
        return found[1], found[2] is not None

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._send(status, text.encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Addresses hold raters' codes: nothing is logged."""


_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _lines(key: Key, rater: str, body: bytes) -> list[Line] | None:
    """The answers of a body; None unless all of them are this rater's answers to what he was asked."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or len(found) > 500:
        return None
    lines = [line_of(key, one) for one in found]
    kept = [one for one in lines if isinstance(one, Line) and one.rater == rater]
    return kept if len(kept) == len(lines) else None


def _any_known(key: Key, folder: Path) -> bool:
    try:
        return bool(read_answers(key, folder).of)
    except VlxError:
        return False


def _append(path: Path, text: str) -> None:
    """Add whole lines to a file at once; a line that was cut off before, as by a crash, is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        cut = os.lseek(descriptor, 0, os.SEEK_END) > 0
        if cut:
            os.lseek(descriptor, -1, os.SEEK_END)
            cut = os.read(descriptor, 1) != b"\n"
        left = (("\n" if cut else "") + text).encode()
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
