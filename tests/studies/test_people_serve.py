"""The local server: saves whole answers, resumes, and gives nothing to hostile requests."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studies.people_small import study
from vlx.errors import VlxError
from vlx.studies.people.answers import read_answers
from vlx.studies.people.make import Made
from vlx.studies.people.pages import write_pages
from vlx.studies.people.serve import MOST, StudyServer, study_server


@pytest.fixture
def made(tmp_path: Path) -> Made:
    found = study(tmp_path, "trust")
    write_pages(found)
    return found


@pytest.fixture
def server(made: Made) -> Iterator[StudyServer]:
    with study_server(made.folder, port=0) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def ask(
    server: StudyServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    port = server.server_address[1]
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {"Host": f"127.0.0.1:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in given.items():
        link.putheader(name, value)
    if body is not None and "Content-Length" not in given:
        link.putheader("Content-Length", str(len(body)))
    link.endheaders()
    if body:
        link.send(body)
    reply = link.getresponse()
    found = reply.status, reply.read(), reply.headers
    link.close()
    return found


def lines(made: Made, rater: str, answers: list[int], first: int = 1) -> bytes:
    codes = made.key.raters[rater]
    made_up = [
        {"study": "cafe", "rater": rater, "question": code, "answer": answer, "n": n, "ms": 5}
        for n, (code, answer) in enumerate(zip(codes, answers, strict=False), first)
    ]
    return json.dumps(made_up).encode()


def post(server: StudyServer, rater: str, body: bytes, **headers: str) -> int:
    return ask(
        server, "POST", f"/r/{rater}/answers", body, **{"Content_Type": "application/json", **headers}
    )[0]


def test_answers_are_saved_and_resumed(made: Made, server: StudyServer):
    rater = "rater-00"
    status, page, headers = ask(server, "GET", f"/r/{rater}")
    assert status == 200
    assert page == (made.folder / "pages" / f"{rater}.html").read_bytes()
    assert headers["Cache-Control"] == "no-store"
    assert ask(server, "GET", f"/r/{rater}/answers")[1] == b"[]"
    assert post(server, rater, lines(made, rater, [1, -2])) == 200
    assert post(server, rater, lines(made, rater, [1, -2])) == 200  # again: nothing new
    assert post(server, rater, lines(made, rater, [2], first=3)) == 200  # changed
    text = (made.folder / "answers" / f"{rater}.jsonl").read_text()
    assert text.count("\n") == 3
    saved = json.loads(ask(server, "GET", f"/r/{rater}/answers")[1])
    assert [(one["answer"], one["n"]) for one in saved] == [(-2, 2), (2, 3)]
    with study_server(made.folder, port=0) as other:  # started again
        assert [line.answer for line in other.saved.of(rater)] == [-2, 2]
    assert len(read_answers(made.key, made.folder / "answers").of) == 2


def test_a_line_that_was_cut_off_spoils_no_other(made: Made):
    folder = made.folder / "answers"
    folder.mkdir()
    (folder / "rater-00.jsonl").write_bytes(b'{"study": "cafe", "ra')
    with study_server(made.folder, port=0) as one:
        from vlx.studies.people.answers import Line

        assert one.saved.add("rater-00", [Line("rater-00", made.key.raters["rater-00"][0], 1, 1, 1)])
    found = read_answers(made.key, folder)
    assert (len(found.of), found.left_out) == (1, {"lines damaged": 1})


@pytest.mark.parametrize(
    "path",
    [
        "/../key.json", "/r/../../key.json", "/r/rater-00/../../../key.json", "/key.json",
        "/pages/rater-00.html",
        "/r/rater-00.html", "/r/%2e%2e/key.json", "/r/rater-00%00", "/r/rater-99", "/r/",
        "/r/rater-00/", "/r/rater-00/answers/x", "/r/rater-00?x=1", "/answers", "http://127.0.0.1/r/rater-00",
        "/r/" + "a" * 5000, "/raters.txt",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(server: StudyServer, path: str):
    status, body, _ = ask(server, "GET", path)
    assert status == 404
    assert b"codes" not in body
    assert b"rater-00" not in body


def test_the_first_page_names_no_rater(server: StudyServer):
    status, body, _ = ask(server, "GET", "/")
    assert status == 200
    assert b"rater" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "evil.example:80", "", "127.0.0.1.evil.example"]
)
def test_other_names_are_refused(made: Made, server: StudyServer, host: str):
    assert ask(server, "GET", "/r/rater-00", Host=host)[0] == 421
    assert post(server, "rater-00", lines(made, "rater-00", [1]), Host=host) == 421
    assert not list((made.folder / "answers").iterdir())


def test_other_pages_cannot_post(made: Made, server: StudyServer):
    body = lines(made, "rater-00", [1])
    port = server.server_address[1]
    assert post(server, "rater-00", body, Origin="http://evil.example") == 403
    assert post(server, "rater-00", body, Origin="null") == 403
    assert post(server, "rater-00", body, Content_Type="text/plain") == 415
    assert post(server, "rater-00", body, Content_Type="application/x-www-form-urlencoded") == 415
    assert not list((made.folder / "answers").iterdir())
    assert post(server, "rater-00", body, Origin=f"http://localhost:{port}") == 200


def test_bodies_are_bounded(made: Made, server: StudyServer):
    assert post(server, "rater-00", b"", Content_Length=str(MOST + 1)) == 413
    assert post(server, "rater-00", b"", Content_Length=str(10**11)) == 413
    assert post(server, "rater-00", b"", Content_Length="-1") == 411
    assert post(server, "rater-00", b"", Content_Length="x") == 411
    assert post(server, "rater-00", b"0\r\n\r\n    ", Transfer_Encoding="chunked", Content_Length="9") == 411
    assert ask(server, "PUT", "/r/rater-00")[0] == 501
    assert not list((made.folder / "answers").iterdir())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b"null", b"[1]", b"[" * 20000, b"\xff\xfe", b'[{"rater": "rater-00"}]', b"[NaN]"],
)
def test_what_is_no_answer_is_refused_whole(made: Made, server: StudyServer, body: bytes):
    assert post(server, "rater-00", body) == 400
    assert not list((made.folder / "answers").iterdir())


def test_a_rater_speaks_for_himself_alone(made: Made, server: StudyServer):
    good = json.loads(lines(made, "rater-00", [1]))
    other = json.loads(lines(made, "rater-01", [1]))
    assert post(server, "rater-00", json.dumps([*good, *other]).encode()) == 400  # none of them
    assert not list((made.folder / "answers").iterdir())


def test_no_endless_answers(made: Made, server: StudyServer):
    limit = 50 * len(made.key.raters["rater-00"])
    code = made.key.raters["rater-00"][0]
    status, n = 200, 0
    while status == 200 and n < limit + 1000:
        some = [
            {"study": "cafe", "rater": "rater-00", "question": code, "answer": at % 3, "n": n + at, "ms": 1}
            for at in range(1, 401)
        ]
        status, n = post(server, "rater-00", json.dumps(some).encode()), n + 400
    assert status == 429
    assert post(server, "rater-01", lines(made, "rater-01", [1])) == 200


def test_many_raters_at_once(made: Made, server: StudyServer):
    raters = list(made.key.raters)
    statuses: list[int] = []

    def work(rater: str) -> None:
        for first in range(1, 20, 4):
            statuses.append(post(server, rater, lines(made, rater, [first % 3, 0, 1, 2], first)))

    threads = [threading.Thread(target=work, args=(one,)) for one in raters for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(statuses) == {200}
    found = read_answers(made.key, made.folder / "answers")
    assert len(found.of) == 4 * len(raters)
    assert "lines damaged" not in found.left_out


def test_silence_and_rubbish_end_nothing(made: Made, server: StudyServer):
    with socket.create_connection(("127.0.0.1", server.server_address[1])) as link:
        link.sendall(b"\x16\x03\x01 rubbish\r\n\r\n")
        link.settimeout(10)
        assert b"400" in link.recv(200)
    with socket.create_connection(("127.0.0.1", server.server_address[1])):  # says nothing
        assert ask(server, "GET", "/r/rater-00")[0] == 200


def test_a_server_needs_a_study_and_a_port(made: Made, tmp_path: Path, server: StudyServer):
    with pytest.raises(VlxError, match="no study"):
        study_server(tmp_path / "nowhere")
    with pytest.raises(VlxError, match="give another --port"):
        study_server(made.folder, port=server.server_address[1])
    (made.folder / "pages" / "rater-00.html").unlink()
    with pytest.raises(VlxError, match="lacks the pages of 1"):
        study_server(made.folder, port=0)
