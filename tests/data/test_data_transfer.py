"""Transfers over broken lines and from bad servers: resumed, retried, moved on, refused."""

import hashlib
import socket

import pytest

from repro.data import fetch, sources, transfer


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_broken_transfer_goes_on_where_it_stopped(toy, server):
    server.routes["/one/a.bin"].drops = [100_000, 150_000]
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert server.requests[:3] == [
        ("/one/a.bin", None),
        ("/one/a.bin", "bytes=100000-"),
        ("/one/a.bin", "bytes=250000-"),
    ]


def test_a_line_that_breaks_often_but_moves_on_gets_through(toy, server, monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 50_000)
    server.routes["/one/a.bin"].drops = [60_000] * 9
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert [path for path, _ in server.requests] == ["/one/a.bin"] * 10 + ["/one/b.bin"]


def test_the_next_address_continues_what_the_first_began(toy, server):
    server.routes["/one/a.bin"].drops = [400_000, 0, 0, 0]
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert ("/two/a.bin", "bytes=400000-") in server.requests
    assert len(server.requests) == transfer.ATTEMPTS + 2


def test_a_server_that_ignores_range_starts_over(toy, server):
    server.routes["/one/a.bin"].ignores_range = True
    server.routes["/one/a.bin"].drops = [100_000]
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert server.requests[1] == ("/one/a.bin", "bytes=100000-")


def test_a_server_that_always_stops_early_is_given_up(toy, server, refusal):
    for mirror in ("one", "two"):
        server.routes[f"/{mirror}/a.bin"].ignores_range = True
        server.routes[f"/{mirror}/a.bin"].drops = [300_000] * 50
    line = refusal()
    assert "connection closed after 300000 of 600000 bytes" in line
    assert [p.name for p in toy.cached.iterdir()] == [".a.bin.part"]  # to be resumed, never taken for the file
    server.routes["/one/a.bin"].drops = []
    fetch.locate("toy")
    assert toy.whole(toy.cached)


def test_a_wrong_range_is_not_appended(toy, server):
    server.routes["/one/a.bin"].wrong_range = True
    server.routes["/one/a.bin"].drops = [100_000]
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert [wanted for path, wanted in server.requests if path == "/one/a.bin"] == [
        None,
        "bytes=100000-",
        None,
    ]


def test_more_than_stated_in_the_table_is_refused(toy, server, route, refusal):
    for mirror in ("one", "two"):
        longer = toy.contents["a.bin"] + b"more"
        server.routes[f"/{mirror}/a.bin"] = route(longer, states_length=False)
    assert refusal().count("sends more than the expected 600000 bytes") == 2
    assert list(toy.cached.iterdir()) == []


def test_a_stream_of_unstated_length(toy, server):
    for route in server.routes.values():
        route.states_length = False
    server.routes["/one/a.bin"].drops = [100_000]
    fetch.locate("toy")
    assert toy.whole(toy.cached)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_lasting_refusal_moves_on_at_once(toy, server, status):
    server.routes["/one/a.bin"].status = status
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert [path for path, _ in server.requests] == ["/one/a.bin", "/two/a.bin", "/one/b.bin"]


def test_a_passing_fault_is_retried(toy, server):
    server.routes["/one/a.bin"].status = 503
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert [path for path, _ in server.requests].count("/one/a.bin") == transfer.ATTEMPTS


def test_a_silent_server_times_out(toy, server, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.15)
    server.routes["/one/a.bin"].stalls_after = 1_000
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert any(path == "/two/a.bin" for path, _ in server.requests)


@pytest.mark.parametrize("states_length", [True, False])
@pytest.mark.parametrize("change", [lambda c: c + b"more", lambda c: b"<html>not found</html>"])
def test_another_size_moves_on(toy, server, route, change, states_length):
    server.routes["/one/a.bin"] = route(change(toy.contents["a.bin"]), states_length=states_length)
    fetch.locate("toy")
    assert toy.whole(toy.cached)


def corrupt(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_a_wrong_checksum_moves_on(toy, server, route):
    server.routes["/one/a.bin"] = route(corrupt(toy.contents["a.bin"]))
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert [path for path, _ in server.requests] == ["/one/a.bin", "/two/a.bin", "/one/b.bin"]


def test_wrong_checksums_everywhere_name_both_sums_and_leave_nothing(toy, server, route, refusal):
    for mirror in ("one", "two"):
        server.routes[f"/{mirror}/a.bin"] = route(corrupt(toy.contents["a.bin"]))
    line = refusal()
    got = sha256(corrupt(toy.contents["a.bin"]))
    assert line.count(f"sha256 {got}, expected {sha256(toy.contents['a.bin'])}") == 2
    assert f"{server.address}/one/a.bin" in line
    assert f"{server.address}/two/a.bin" in line
    assert list(toy.cached.iterdir()) == []


def test_bad_bytes_of_one_address_do_not_spoil_the_next(toy, server, route):
    bad = bytes(600_000)
    server.routes["/one/a.bin"] = route(bad, drops=[300_000, 0, 0, 0])
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    asked = [wanted for path, wanted in server.requests if path == "/two/a.bin"]
    assert asked == ["bytes=300000-", None]  # the mixture failed its sum; once more from the first byte


def test_no_network_names_the_addresses_on_one_line(toy, server, monkeypatch, refusal):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = unused.getsockname()[1]
        urls = tuple(f"http://127.0.0.1:{port}/{mirror}/a.bin" for mirror in ("one", "two"))
        first = toy.public.downloads[0]
        broken = sources.Download(first.name, first.size_bytes, first.sha256, urls)
        lost = sources.PublicSet("toy", "", "", "", "", (broken,))
        monkeypatch.setattr(sources, "PUBLIC_SETS", {"toy": lost})
        line = refusal()
    assert all(f"{url} (Connection refused)" in line for url in urls)
    assert "check the network" in line
    assert f"{toy.cached}" in line
    assert list(toy.cached.iterdir()) == []


def test_a_machine_without_name_service(toy, server, monkeypatch, refusal):
    def unresolved(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    assert f"{server.address}/two/a.bin (Temporary failure in name resolution)" in refusal()
