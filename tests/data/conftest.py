"""A web server on this machine that misbehaves on request, and a data set that is served by it."""

import hashlib
import io
import random
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from repro.data import fetch, sources, transfer
from repro.data.sources import Download, File, PublicSet
from repro.errors import UserError


@dataclass
class Route:
    """What is served at a path. `drops` lists, request by request, after how many bytes the line breaks."""

    content: bytes
    status: int = 200
    ignores_range: bool = False
    wrong_range: bool = False
    states_length: bool = True
    drops: list[int] = field(default_factory=list)
    stalls_after: int | None = None


class Server:
    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, str | None]] = []  # path, Range
        self.go_on = threading.Event()  # releases what `stalls_after` holds
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append((self.path, self.headers.get("Range")))
                owner._answer(self, owner.routes.get(self.path, Route(b"", status=404)))

            def log_message(self, *args: object) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=lambda: self._httpd.serve_forever(poll_interval=0.01))
        self._thread.start()

    def close(self) -> None:
        self.go_on.set()
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, route: Route) -> None:
        first, asked = 0, request.headers.get("Range")
        if asked and route.status == 200 and not route.ignores_range:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = route.content[first:]
        request.send_response(206 if first else route.status)
        if first:
            stated = first + 1 if route.wrong_range else first
            last = len(route.content) - 1
            request.send_header("Content-Range", f"bytes {stated}-{last}/{last + 1}")
        if route.states_length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        try:
            if route.stalls_after is not None:
                request.wfile.write(body[: route.stalls_after])
                self.go_on.wait(timeout=60)
                body = body[route.stalls_after :]
            request.wfile.write(body[: route.drops.pop(0)] if route.drops else body)
        except OSError:  # the client went away
            pass
        request.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def route() -> type[Route]:
    return Route


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has an empty cache, no REPRO_DATA, no proxy, and no patience."""
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)


def random_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Toy:
    """A public set `toy` of two files, `a.bin` (600,000 bytes) and `b.bin` (5,000), at two addresses."""

    contents: dict[str, bytes]
    public: PublicSet
    cached: Path

    def put(self, folder: Path, **other: bytes | None) -> Path:
        """Writes the set into `folder`; `a=...`, `b=...` replace a file, None leaves it out."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.contents.items():
            chosen = other.get(name.removesuffix(".bin"), content)
            if chosen is not None:
                (folder / name).write_bytes(chosen)
        return folder

    def whole(self, folder: Path) -> bool:
        """Holds exactly the set's files, and nothing aside."""
        return {path.name: path.read_bytes() for path in folder.iterdir()} == self.contents


@pytest.fixture
def toy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    contents = {"a.bin": random_bytes(1, 600_000), "b.bin": random_bytes(2, 5_000)}
    for name, content in contents.items():
        for mirror in ("one", "two"):
            server.routes[f"/{mirror}/{name}"] = Route(content)
    downloads = tuple(
        Download(
            name,
            len(content),
            sha256(content),
            (f"{server.address}/one/{name}", f"{server.address}/two/{name}"),
        )
        for name, content in contents.items()
    )
    public = PublicSet("toy", "A toy", "public domain", "none", "nothing", downloads)
    monkeypatch.setattr(sources, "PUBLIC_SETS", {"toy": public})
    return Toy(contents, public, tmp_path / "cache" / "learning-from-models" / "data" / "toy")


@pytest.fixture
def archived(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The same files as members, under `inner/`, of one tar.gz that holds others too."""
    contents = {"inner/a.bin": random_bytes(1, 600_000), "inner/b.bin": random_bytes(2, 5_000)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {"../outside.txt": b"evil", "inner/readme": b"hello", **contents}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive = buffer.getvalue()
    server.routes["/toy.tar.gz"] = Route(archive)
    members = tuple(File(name, len(content), sha256(content)) for name, content in contents.items())
    download = Download("toy.tar.gz", len(archive), sha256(archive), (f"{server.address}/toy.tar.gz",), members)
    public = PublicSet("toy", "A toy", "public domain", "none", "nothing", (download,))
    monkeypatch.setattr(sources, "PUBLIC_SETS", {"toy": public})
    return Toy(contents, public, tmp_path / "cache" / "learning-from-models" / "data" / "toy")


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Gives the one line with which `locate` refuses."""

    def line(name: str = "toy") -> str:
        with pytest.raises(UserError) as raised:
            fetch.locate(name)
        message = str(raised.value)
        assert "\n" not in message
        assert message
        return message

    return line
