"""The door to the rules, against a real HTTPS server that behaves badly on request."""

import errno
import gzip
import os
import pwd
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from multischema import download
from multischema.download import fetch
from multischema.errors import RulesError

RULES = b"tables:\n  - table_name: versions\n    truncated: true\n"

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answer as the server's routes say, 404 elsewhere."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self)
        self.close_connection = True
        self.server.routes.get(self.path.partition("?")[0], answer(404, b"404: Not Found"))(self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests look at `asked`."""

    def drip(self, forever: bytes) -> None:
        """Send the same bytes again and again, until the client leaves or the test ends."""
        try:
            while not self.server.stopped.wait(0.02):
                self.wfile.write(forever)
        except OSError:
            pass


class Server(ThreadingHTTPServer):
    """An HTTP server on a free port of this machine."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[Handler] = []
        self.stopped = threading.Event()
        self.context = context

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.context:
            # The handshake is left to the handler's thread: a client that refuses our certificate breaks only that one.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave: these tests are about them."""

    def url(self, path: str, scheme: str = "https") -> str:
        return f"{scheme}://localhost:{self.server_port}{path}"


def answer(status: int, body: bytes = b"", **headers: str) -> Route:
    """Return a route that answers so."""

    def route(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Type": "text/plain; charset=utf-8", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return route


def redirect(location: str, status: int = 302) -> Route:
    return answer(status, b"moved", Location=location)


def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusting(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the test's authority, and let no proxy of the machine come between."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    yield from running(Server(context))


@pytest.fixture
def http_server() -> Iterator[Server]:
    yield from running(Server())


def problem(source: str, *, passing: bool | None = None) -> str:
    """Return the one line of the error that fetching the source must be, and one worth another try if that is said."""
    with pytest.raises(RulesError) as caught:
        fetch(source)
    assert passing in (None, caught.value.transient)
    (line,) = caught.value.problems
    assert line.splitlines() == [line]
    assert line.startswith("rules: ")
    return line


# What is fetched.


def test_the_content_of_an_https_url_is_returned_byte_for_byte(server: Server) -> None:
    server.routes["/rules.yml"] = answer(200, RULES + b"# \xc3\xa9\r\n")

    assert fetch(server.url("/rules.yml?token=a#b")) == RULES + b"# \xc3\xa9\r\n"


def test_the_request_names_the_project(server: Server) -> None:
    server.routes["/rules.yml"] = answer(200, RULES)
    fetch(server.url("/rules.yml"))

    assert server.asked[0].headers["User-Agent"] == "multi-schema-postgres-etl"


def test_the_content_of_a_file_is_returned_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules@2:1.yml").write_bytes(RULES)
    monkeypatch.chdir(tmp_path)

    assert fetch("rules@2:1.yml") == fetch(f"{tmp_path}/rules@2:1.yml\n") == RULES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_within_https(server: Server, status: int) -> None:
    server.routes["/old.yml"] = redirect("/new.yml", status)
    server.routes["/new.yml"] = redirect(server.url("/rules.yml"), status)
    server.routes["/rules.yml"] = answer(200, RULES)

    assert fetch(server.url("/old.yml")) == RULES


# What a server answers.


@pytest.mark.parametrize("status", [204, 304, 401, 404, 500, 503])
def test_any_status_but_200_is_an_error_that_names_it(server: Server, status: int) -> None:
    server.routes["/rules.yml"] = answer(status)

    assert problem(server.url("/rules.yml"), passing=status >= 500) == (
        f"rules: {server.url('/rules.yml')}: the server answered {status}; want 200"
    )


def test_a_page_of_html_is_an_error_by_its_type(server: Server) -> None:
    server.routes["/rules.yml"] = answer(200, RULES, Content_Type="Text/HTML; charset=utf-8")

    assert "this is a web page, not rules" in problem(server.url("/rules.yml"))


def test_a_page_of_html_is_an_error_by_its_content(server: Server, tmp_path: Path) -> None:
    page = b"\n <!DOCTYPE html><title>Sign in</title>"
    server.routes["/rules.yml"] = answer(200, page)
    (tmp_path / "rules.yml").write_bytes(page)

    assert "this is a web page, not rules" in problem(server.url("/rules.yml"))
    assert "this is a web page, not rules" in problem(str(tmp_path / "rules.yml"))


def test_a_redirect_to_http_is_an_error_and_is_not_followed(server: Server, http_server: Server) -> None:
    http_server.routes["/rules.yml"] = answer(200, RULES)
    server.routes["/rules.yml"] = redirect(http_server.url("/rules.yml?token=s3cret", "http"))

    assert problem(server.url("/rules.yml")) == (
        f"rules: {server.url('/rules.yml')}: redirected to {http_server.url('/rules.yml', 'http')}: "
        "not https; want an https URL or a file"
    )
    assert http_server.asked == []


@pytest.mark.parametrize(
    "location", ["https://anne:s3cret@localhost/", "file:///etc/hostname", "https://[", "https://a:b/", "//:0"]
)
def test_a_redirect_to_what_would_be_refused_as_a_source_is_an_error(server: Server, location: str) -> None:
    server.routes["/rules.yml"] = redirect(location)

    line = problem(server.url("/rules.yml"))
    assert "redirected to " in line
    assert "s3cret" not in line


def test_the_body_of_a_redirect_is_not_read(server: Server) -> None:
    def route(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/new.yml")
        handler.end_headers()
        handler.drip(b"#" * 20_000)

    server.routes["/rules.yml"] = route
    server.routes["/new.yml"] = answer(200, RULES)

    assert fetch(server.url("/rules.yml")) == RULES


def test_five_redirects_are_followed_and_six_are_an_error(server: Server) -> None:
    for number in range(6):
        server.routes[f"/{number}"] = redirect(f"/{number + 1}")
    server.routes["/6"] = answer(200, RULES)

    assert fetch(server.url("/1")) == RULES
    assert "more than 5 redirects" in problem(server.url("/0"))


def test_more_than_the_limit_is_an_error_and_the_rest_is_not_downloaded(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 50_000)
    server.routes["/exact.yml"] = answer(200, b"#" * 50_000)
    server.routes["/endless.yml"] = endless

    assert len(fetch(server.url("/exact.yml"))) == 50_000
    assert problem(server.url("/endless.yml")) == (
        f"rules: {server.url('/endless.yml')}: more than 50000 bytes; want rules, which are far smaller"
    )


def test_the_limit_is_that_of_the_content_however_well_it_was_compressed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 50_000)
    server.routes["/rules.yml"] = answer(200, gzip.compress(b"#" * 1_000_000), Content_Encoding="gzip")

    assert "more than 50000 bytes" in problem(server.url("/rules.yml"))


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000000")
    handler.end_headers()
    handler.drip(b"#" * 20_000)


def test_a_body_that_ends_too_soon_is_an_error(server: Server) -> None:
    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(RULES) + 1))
        handler.end_headers()
        handler.wfile.write(RULES)

    server.routes["/rules.yml"] = route

    assert "the download failed (ChunkedEncodingError)" in problem(server.url("/rules.yml"))


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}, {"Content-Length": "many"}, {"Transfer-Encoding": "gzip"}])
def test_a_body_whose_end_nobody_tells_is_an_error_however_complete_it_looks(
    headers: dict[str, str], version: str, server: Server
) -> None:
    def route(handler: Handler) -> None:
        handler.protocol_version = version
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(RULES)

    server.routes["/rules.yml"] = route

    assert problem(server.url("/rules.yml")) == (
        f"rules: {server.url('/rules.yml')}: the server does not tell where its answer ends, and it may be cut short; want "
        "one with a Content-Length, or in chunks"
    )


CHUNK = b"%x\r\n%s\r\n" % (len(RULES), RULES)


def in_chunks(*parts: bytes) -> Route:
    """Return a route that answers with these bytes, said to be chunks."""

    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(part)

    return route


def test_a_body_in_chunks_is_complete_with_its_final_chunk(server: Server) -> None:
    server.routes["/rules.yml"] = in_chunks(CHUNK, b"0\r\n\r\n")

    assert fetch(server.url("/rules.yml")) == RULES


@pytest.mark.parametrize("parts", [(CHUNK,), (CHUNK, CHUNK[:-9]), ()], ids=["whole", "half", "none"])
def test_a_body_in_chunks_without_its_final_one_is_an_error(parts: tuple[bytes, ...], server: Server) -> None:
    server.routes["/rules.yml"] = in_chunks(*parts)

    assert "the download failed" in problem(server.url("/rules.yml"))


# What takes too long.


@pytest.mark.alone
def test_a_server_that_is_silent_before_its_answer_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE_TIMEOUT", 0.2)
    server.routes["/rules.yml"] = silence
    started = time.monotonic()

    assert "the server was silent for too long" in problem(server.url("/rules.yml"))
    assert time.monotonic() - started < 20


def silence(handler: Handler) -> None:
    handler.server.stopped.wait()


@pytest.mark.alone
def test_a_server_that_is_silent_within_its_answer_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(RULES) + 1))
        handler.end_headers()
        handler.wfile.write(RULES)
        server.stopped.wait()

    monkeypatch.setattr(download, "SILENCE_TIMEOUT", 0.2)
    server.routes["/rules.yml"] = route
    started = time.monotonic()

    assert "the server was silent for too long" in problem(server.url("/rules.yml"))
    assert time.monotonic() - started < 20


@pytest.mark.alone
def test_a_server_that_accepts_and_says_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()

        assert "the server was silent for too long" in problem(f"https://127.0.0.1:{port}/rules.yml")
    assert time.monotonic() - started < 8


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    handler.drip(b"a")


def drip_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000000")
    handler.end_headers()
    handler.drip(b"#")


@pytest.mark.alone
@pytest.mark.parametrize("route", [drip_headers, drip_body])
def test_a_server_that_drips_is_given_up_in_time(server: Server, route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_TIMEOUT", 0.5)
    server.routes["/rules.yml"] = route
    started = time.monotonic()

    assert problem(server.url("/rules.yml")) == (
        f"rules: {server.url('/rules.yml')}: not complete after 0.5 s; try again later"
    )
    assert time.monotonic() - started < 20


def test_a_download_that_was_given_up_ends_by_itself(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    downloading: queue.SimpleQueue[list[threading.Thread]] = queue.SimpleQueue()

    def route(handler: Handler) -> None:
        downloading.put([thread for thread in threading.enumerate() if thread.name == "download rules"])
        endless_by_kilobytes(handler)

    monkeypatch.setattr(download, "TOTAL_TIMEOUT", 0.3)
    server.routes["/rules.yml"] = route
    problem(server.url("/rules.yml"))
    left = downloading.get(timeout=30)

    assert left
    for thread in left:
        thread.join(30)
        assert not thread.is_alive()


def endless_by_kilobytes(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000000")
    handler.end_headers()
    handler.drip(b"#" * 2000)


# What can't be connected to.


def test_a_certificate_that_nobody_vouches_for_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    assert "TLS error: " in problem(server.url("/rules.yml"), passing=False)
    assert server.asked == []


def test_a_certificate_for_another_host_is_an_error(server: Server) -> None:
    assert "TLS error: IP address mismatch" in problem(server.url("/").replace("localhost", "127.0.0.1"))


def test_a_server_that_speaks_plain_http_is_an_error(http_server: Server) -> None:
    assert "TLS error: " in problem(http_server.url("/rules.yml"), passing=False)


def test_a_host_that_can_t_be_resolved_is_an_error_that_may_pass() -> None:
    assert problem("https://rules.invalid/a.yml", passing=True) == (
        "rules: https://rules.invalid/a.yml: the host's name can't be resolved; check it, and whether this machine needs a "
        "proxy (HTTPS_PROXY)"
    )


def test_a_refused_connection_is_an_error_that_may_pass() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

        refused = problem(f"https://127.0.0.1:{port}/", passing=True)
        assert refused == f"rules: https://127.0.0.1:{port}/: connection refused"


def test_a_host_that_no_way_leads_to_is_an_error_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert problem("https://127.0.0.1/", passing=True) == "rules: https://127.0.0.1/: no route to host"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://proxy.invalid:3128"])
def test_a_proxy_that_can_t_be_reached_is_an_error_that_may_pass(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")

    assert problem("https://rules.invalid/", passing=True) == (
        "rules: https://rules.invalid/: the proxy can't be used; check HTTPS_PROXY"
    )


def test_a_proxy_that_refuses_is_an_error_that_stays(http_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_server.url("", "http"))  # it knows no CONNECT
    monkeypatch.setenv("NO_PROXY", "")

    assert "the proxy can't be used" in problem("https://rules.invalid/", passing=False)


# What is refused unread.


@pytest.mark.parametrize(
    "source",
    ["http://localhost/a.yml", "ftp://localhost/a.yml", "file:///a.yml", "file:/a.yml", "HTTP://localhost/a.yml"],
)
def test_a_url_that_is_not_https_is_an_error(source: str) -> None:
    assert problem(source) == f"rules: {source}: not https; want an https URL or a file"


@pytest.mark.parametrize(
    "source",
    ["https://", "https:///a.yml", "https://[", "https://a:b/", "https://a b/", "https://" + "a" * 70 + ".fr/"],
)
def test_what_is_not_a_url_is_an_error(source: str) -> None:
    assert problem(source) == f"rules: {source}: not a URL; want https://host/path, or a file"


@pytest.mark.parametrize("userinfo", ["anne:s3cret", "s3cret", "anne:s3cret@s3cret"])
def test_a_user_or_a_password_in_the_url_is_an_error(server: Server, userinfo: str) -> None:
    line = problem(server.url("/rules.yml").replace("https://", f"https://{userinfo}@"))

    assert line.startswith(f"rules: {server.url('/rules.yml')}: the URL holds a user or a password")
    assert server.asked == []


@pytest.mark.parametrize(
    "source",
    [
        "https://localhost:1/a.yml?token=s3cret",
        "https://localhost:1/a.yml#s3cret",
        "https://rules.invalid/a.yml?token=s3cret",
        "https://anne:s3cret@localhost:1/a.yml",
        "https://anne:s3cret/s3cret@localhost/a.yml",
        "https://anne:s3cret#s3cret@localhost/a.yml",
        "https://anne:1?s3cret@localhost/a.yml",
        "http://s3cret@localhost/a.yml",
        "postgres://anne:s3cret@localhost/a",
        "anne:s3cret@localhost/a.yml",
        "localhost/a.yml?token=s3cret",
    ],
)
def test_no_error_holds_a_secret_of_the_source(source: str) -> None:
    assert "s3cret" not in problem(source)


def named(source: str) -> float:
    """Return the seconds of processor time that it takes to say what a source is called."""
    started = time.process_time()
    download.name_of(source)
    return time.process_time() - started


@pytest.mark.parametrize("text", [":", "a:", ":@", "@", "a", "/", ":/", "https://", "https://:@/", "\n"])
def test_what_a_source_is_called_takes_a_time_that_grows_as_its_length_does(text: str) -> None:
    # what takes the square of its length takes hours
    for source in (text * 1_000_000, f"https://{text * 1_000_000}", f"https://{text * 1_000_000}@host/a"):
        assert named(source) < 20


# Files.


def test_a_file_that_is_not_there_is_an_error() -> None:
    assert problem("no/such.yml") == ("rules: no/such.yml: no such file or directory; want a readable file or an https URL")


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    assert problem(str(tmp_path)) == f"rules: {tmp_path}: a directory; want a file or an https URL"


def test_a_pipe_that_nobody_writes_to_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "not a file" in problem(str(tmp_path / "pipe"))


def test_a_file_without_the_right_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_bytes(RULES)
    (tmp_path / "rules.yml").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)  # root reads everything
    try:
        assert "permission denied" in problem(str(tmp_path / "rules.yml"))
    finally:
        os.seteuid(user)


def test_a_file_that_is_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").symlink_to("rules.yml")

    assert "too many levels of symbolic links" in problem(str(tmp_path / "rules.yml"))


@pytest.mark.parametrize("source", ["", " \n"])
def test_no_source_is_an_error(source: str) -> None:
    assert problem(source) == "rules: no source; want an https URL or a file"


@pytest.mark.parametrize("source", ["a\0b", "a" * 5000, "a\nb", "a/\ud800", "\x1b[31m"])
def test_what_can_not_be_a_file_is_an_error_of_one_short_line(source: str) -> None:
    line = problem(source)

    assert len(line) < 300
    assert line.isprintable()


def test_a_file_larger_than_the_limit_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 10)
    (tmp_path / "exact.yml").write_bytes(b"#" * 10)
    (tmp_path / "more.yml").write_bytes(b"#" * 11)

    assert len(fetch(str(tmp_path / "exact.yml"))) == 10
    assert "more than 10 bytes" in problem(str(tmp_path / "more.yml"))


def test_the_limits_are_those_that_were_promised() -> None:
    assert (download.CONNECT_TIMEOUT, download.SILENCE_TIMEOUT, download.TOTAL_TIMEOUT) == (10, 30, 60)
    assert (download.MAX_BYTES, download.MAX_REDIRECTS) == (5_000_000, 5)


# Paths of those who choose the file, but are not on this machine.


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """Return the one folder that is allowed; beside it is a file that nobody may have, and a folder with a like name."""
    folder = tmp_path / "rules"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "anonymizer.yml").write_bytes(RULES)
    (tmp_path / "secret").write_bytes(b"hush")
    (tmp_path / "rules-of-others").mkdir()
    (tmp_path / "rules-of-others" / "anonymizer.yml").write_bytes(RULES)
    return folder


def test_a_file_in_an_allowed_folder_is_read(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = allowed / "shop" / "anonymizer.yml"
    (allowed / "link.yml").symlink_to(file)
    (allowed.parent / "way").symlink_to(allowed)
    monkeypatch.chdir(allowed)
    for path in (file, allowed / "link.yml", "shop/anonymizer.yml", "shop/../link.yml", allowed.parent / "way" / "link.yml"):
        assert fetch(str(path), [allowed]) == RULES
    assert fetch(str(file), [allowed.parent / "nothing", allowed.parent / "way"]) == RULES


def test_a_file_anywhere_else_is_refused_whether_it_is_there_or_not(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (allowed / "out.yml").symlink_to(allowed.parent / "secret")
    (allowed / "up").symlink_to(allowed.parent)
    (allowed / "loop").symlink_to(allowed / "loop")
    (allowed / "pipe").symlink_to("/dev/stdin")
    monkeypatch.chdir(allowed)
    absolute = (allowed.parent / "secret", allowed.parent / "none", allowed.parent / "rules-of-others" / "anonymizer.yml")
    for path in (*absolute, "../secret", "shop/../../secret", "out.yml", "up/secret", "/etc/passwd", "pipe", "/"):
        assert refused(str(path), [allowed]).endswith(
            ": outside the folders that a deployment may read rules from; "
            "want an https URL, or a file in the code's folder or RULES_FOLDER"
        )
    assert "no such file" in refused("~/.pgpass", [allowed])  # not expanded: a folder of that name
    assert refused("loop", [allowed])


def test_no_folder_allows_no_file(allowed: Path) -> None:
    assert "outside the folders" in refused(str(allowed / "shop" / "anonymizer.yml"), [])


def refused(path: str, folders: list[Path]) -> str:
    """Return the error about a path."""
    with pytest.raises(RulesError) as caught:
        fetch(path, folders)
    assert "hush" not in str(caught.value)
    return str(caught.value)
