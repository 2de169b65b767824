"""Downloads that go on where they broke off, against a server on this machine that misbehaves in every known way."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import BenchError
from bench.contracts.dataset import RemoteFile
from bench.data import download, transfer
from bench.data.download import fetch

OLD, CONTENT = (bytes(f"{word},{k}\n" * 9, "ascii") * 400 for k, word in enumerate(("old", "new")))
CONTENT += b"end\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
REAL_DOWNLOAD = download._download
MOST_REQUESTS = 40


class Handler(BaseHTTPRequestHandler):
    """Does what the next act of the script says."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        script = self.server.scripts.get(self.path, [])
        if len(self.server.asked) > MOST_REQUESTS or not script:
            self.send_error(404)
            return
        act = script.pop(0) if len(script) > 1 else script[0]
        act(self)

    def answer(self, status: int, body: bytes, **headers: object) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        pass


Act = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[Act]] = {}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.over = threading.Event()


def whole(content: bytes = CONTENT, tag: str | None = '"v2"') -> Act:
    """Everything, whatever was asked for."""
    return lambda handler: handler.answer(200, content, ETag=tag)


def ranges(content: bytes = CONTENT, tag: str = '"v2"', honours_if_range: bool = True) -> Act:
    """What a good server does."""

    def act(handler: Handler) -> None:
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if asked is None or (honours_if_range and condition != tag):
            handler.answer(200, content, ETag=tag)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            handler.answer(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.answer(206, content[start:], Content_Range=span, ETag=tag)

    return act


def cut(content: bytes = CONTENT, at: int = HALF, tag: str | None = '"v2"', **headers: object) -> Act:
    """The first bytes, and the promise of all."""
    return lambda handler: handler.answer(200, content[:at], Content_Length=len(content), ETag=tag, **headers)


def short(content: bytes = CONTENT) -> Act:
    """A length that is less than what there is."""
    return lambda handler: handler.answer(200, content, Content_Length=len(content) - 10, ETag='"v2"')


def stall(handler: Handler) -> None:
    """Half, and then nothing."""
    handler.answer(200, CONTENT[:HALF], Content_Length=len(CONTENT), ETag='"v2"')
    handler.wfile.flush()
    handler.server.over.wait(5)


def silent(handler: Handler) -> None:
    """Not a word."""
    handler.server.over.wait(5)


def slowly(handler: Handler) -> None:
    """Everything, in a while."""
    time.sleep(0.1)
    whole()(handler)


def drip(handler: Handler) -> None:
    """A byte now and then: never silent, never done."""
    handler.answer(200, b"", Content_Length=len(CONTENT))
    for byte in CONTENT[:100]:
        if handler.server.over.wait(0.02):
            return
        try:
            handler.wfile.write(bytes([byte]))
        except OSError:
            return


def status(code: int) -> Act:
    return lambda handler: handler.answer(code, b"")


def misplaced(handler: Handler) -> None:
    """A part, but from the beginning instead of the byte asked for."""
    handler.answer(206, CONTENT[:HALF], Content_Range=f"bytes 0-{HALF - 1}/{len(CONTENT)}", ETag='"v2"')


def chunked(handler: Handler) -> None:
    """Chunks, of which the last never comes."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%b\r\n" % (HALF, CONTENT[:HALF]))


def to(address: str) -> Act:
    return lambda handler: handler.answer(302, b"", Location=address)


@dataclass
class Place:
    """The server, and where its files are kept."""

    server: Server
    cache: Path
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def part(self) -> Path:
        return self.cache / ".good.csv.part"

    def serves(self, *acts: Act, path: str = "/good.csv") -> None:
        self.server.scripts[path] = list(acts)

    def fetch(self, *paths: str, digest: str = DIGEST) -> bytes:
        urls = tuple(self.url + path for path in paths or ("/good.csv",))
        return fetch(RemoteFile("good.csv", urls, (digest,)), progress=False).read_bytes()

    def refusal(self, *paths: str) -> str:
        with pytest.raises(BenchError) as caught:
            self.fetch(*paths)
        assert not (self.cache / "good.csv").exists()
        return str(caught.value)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(download, "_download", REAL_DOWNLOAD)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(transfer, "PAUSE_S", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield Place(server, tmp_path / "cache")
        server.over.set()
        server.shutdown()
        thread.join(timeout=5)


def test_a_cut_is_mended_with_the_missing_bytes_alone(place: Place) -> None:
    place.serves(cut(), ranges())
    assert place.fetch() == CONTENT
    assert place.server.asked == [("/good.csv", None, None), ("/good.csv", f"bytes={HALF}-", '"v2"')]
    assert [entry.name for entry in place.cache.iterdir()] == ["good.csv"]


def test_the_next_call_goes_on_where_the_last_one_ended(place: Place) -> None:
    place.serves(cut(), status(404))
    assert "HTTP status 404" in place.refusal()
    assert place.part.read_bytes() == CONTENT[:HALF]
    place.server.asked.clear()
    place.serves(ranges())
    assert place.fetch() == CONTENT
    assert place.server.asked == [("/good.csv", f"bytes={HALF}-", '"v2"')]


def test_a_download_that_was_interrupted_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(received: int, total: int | None) -> None:
        raise KeyboardInterrupt

    place.serves(ranges())
    place.cache.mkdir()
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1000)
    with pytest.raises(KeyboardInterrupt):
        transfer.transfer(f"{place.url}/good.csv", transfer.Partial(place.part), interrupt)
    assert place.part.read_bytes() == CONTENT[:1000]
    assert place.fetch() == CONTENT
    assert place.server.asked[-1] == ("/good.csv", "bytes=1000-", '"v2"')


def test_a_server_without_ranges_sends_everything_again(place: Place) -> None:
    place.serves(cut(), whole())
    assert place.fetch() == CONTENT
    assert len(place.server.asked) == 2


def test_a_file_that_changed_meanwhile_comes_whole(place: Place) -> None:
    place.serves(cut(OLD, tag='"v1"'), ranges())
    assert place.fetch() == CONTENT


def test_a_changed_file_is_seen_where_the_condition_is_ignored(place: Place) -> None:
    place.serves(cut(OLD, tag='"v1"'), ranges(honours_if_range=False))
    assert place.fetch() == CONTENT
    assert [range_ for _, range_, _ in place.server.asked] == [None, f"bytes={HALF}-", None]


def test_pieces_of_two_files_under_one_tag_fail_the_hash_and_come_whole(place: Place) -> None:
    place.serves(cut(OLD + b"end\n"), ranges())
    assert len(OLD) + 4 == len(CONTENT)
    assert place.fetch() == CONTENT
    assert [range_ for _, range_, _ in place.server.asked] == [None, f"bytes={HALF}-", None]


@pytest.mark.parametrize("tag", [None, 'W/"v2"'])
def test_a_date_will_do_and_without_one_nothing_is_pieced_together(place: Place, tag: str | None) -> None:
    date = "Wed, 01 Jan 2020 00:00:00 GMT"
    place.serves(cut(tag=tag, Last_Modified=date), ranges(tag=date))
    assert place.fetch() == CONTENT
    assert place.server.asked[1] == ("/good.csv", f"bytes={HALF}-", date)
    (place.cache / "good.csv").unlink()
    place.server.asked.clear()
    place.serves(cut(tag=tag), whole(tag=tag))
    assert place.fetch() == CONTENT
    assert [(range_, condition) for _, range_, condition in place.server.asked] == [(None, None)] * 2


def test_all_bytes_may_be_here_already(place: Place) -> None:
    place.serves(ranges())
    partial = transfer.Partial(place.part)
    place.cache.mkdir()
    partial.path.write_bytes(CONTENT)
    partial.begin(transfer.Version(f"{place.url}/good.csv", '"v2"', len(CONTENT)))
    assert place.fetch() == CONTENT
    assert len(place.server.asked) == 1


def test_more_bytes_than_there_are_are_thrown_away(place: Place) -> None:
    place.serves(ranges())
    partial = transfer.Partial(place.part)
    place.cache.mkdir()
    partial.path.write_bytes(CONTENT + b"more")
    partial.begin(transfer.Version(f"{place.url}/good.csv", '"v2"', len(CONTENT)))
    assert place.fetch() == CONTENT


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"url": 1}'])
def test_a_part_without_a_note_is_not_trusted(place: Place, note: str) -> None:
    place.serves(ranges())
    place.cache.mkdir()
    place.part.write_bytes(b"who knows")
    place.part.with_name(f"{place.part.name}.json").write_text(note)
    assert place.fetch() == CONTENT
    assert place.server.asked == [("/good.csv", None, None)]


@pytest.mark.parametrize("then", [ranges(), whole()])
def test_a_part_in_the_wrong_place_is_thrown_away(place: Place, then: Act) -> None:
    place.serves(cut(), misplaced, then)
    assert place.fetch() == CONTENT


def test_a_stall_is_ended_and_mended(place: Place) -> None:
    place.serves(stall, ranges())
    began = time.monotonic()
    assert place.fetch() == CONTENT
    assert time.monotonic() - began < 3


def test_a_server_that_only_stalls_is_given_up(place: Place) -> None:
    place.serves(silent)
    began = time.monotonic()
    assert "no answer for 0.4 s" in place.refusal()
    assert time.monotonic() - began < 3


def test_a_server_that_drips_is_given_up(place: Place) -> None:
    place.serves(drip)
    assert "less than 256 bytes a second" in place.refusal()


def test_a_length_that_is_a_lie_either_way_is_no_file(place: Place) -> None:
    place.serves(short())
    assert hashlib.sha256(CONTENT[:-10]).hexdigest() in place.refusal()
    assert not place.part.exists()
    place.serves(lambda handler: handler.answer(200, CONTENT, Content_Length=len(CONTENT) + 10))
    assert re.search(r"closed after [\d,]+ of [\d,]+ bytes", place.refusal())


def test_chunks_that_end_early_are_mended(place: Place) -> None:
    place.serves(chunked, ranges())
    assert place.fetch() == CONTENT


def test_endless_bytes_are_stopped(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGEST", 1000)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 100)
    place.serves(whole())
    assert "more than 1,000 bytes" in place.refusal()
    assert transfer.Partial(place.part).size == 0


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again_but_not_for_ever(place: Place, code: int) -> None:
    place.serves(status(code), status(code), ranges())
    assert place.fetch() == CONTENT
    (place.cache / "good.csv").unlink()
    place.server.asked.clear()
    place.serves(status(code))
    assert f"HTTP status {code}" in place.refusal()
    assert len(place.server.asked) == transfer.MAX_ATTEMPTS


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_final(place: Place, code: int) -> None:
    place.serves(status(code))
    assert f"HTTP status {code}" in place.refusal()
    assert len(place.server.asked) == 1


@pytest.mark.parametrize("bad", [whole(OLD), status(404), cut(), drip, to("/bad.csv"), to("http://example.org/x")])
def test_mirrors_are_tried_in_order(place: Place, bad: Act) -> None:
    place.serves(bad, path="/bad.csv")
    place.serves(ranges(), path="/mirror.csv")
    assert place.fetch("/bad.csv", "/mirror.csv", "/never.csv") == CONTENT
    asked = [path for path, _, _ in place.server.asked]
    assert asked[0] == "/bad.csv"
    assert asked[-1] == "/mirror.csv"


def test_what_one_mirror_began_another_one_does_not_end(place: Place) -> None:
    place.serves(cut(OLD), status(404), path="/bad.csv")
    place.serves(ranges(), path="/mirror.csv")
    assert place.fetch("/bad.csv", "/mirror.csv") == CONTENT
    assert [asked for asked in place.server.asked if asked[0] == "/mirror.csv"] == [("/mirror.csv", None, None)]


def test_every_address_has_its_reason(place: Place) -> None:
    place.serves(whole(OLD), path="/old.csv")
    place.serves(to("ftp://example.org/x"), path="/moved.csv")
    message = place.refusal("/old.csv", "/absent.csv", "/moved.csv")
    for part in ("/old.csv (sent a file with sha256", "/absent.csv (HTTP status 404", "/moved.csv (", "BENCH_DATA_DIR"):
        assert part in message


def test_a_redirect_keeps_the_range(place: Place) -> None:
    place.serves(cut(), to("/elsewhere.csv"))
    place.serves(ranges(), path="/elsewhere.csv")
    assert place.fetch() == CONTENT
    assert place.server.asked[-1] == ("/elsewhere.csv", f"bytes={HALF}-", '"v2"')


def test_a_redirect_off_https_is_not_followed(place: Place) -> None:
    place.serves(to("http://example.org/good.csv"))
    assert "over https only" in place.refusal()


def test_two_at_once_download_once(place: Place) -> None:
    place.serves(slowly)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(place.fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert found == [CONTENT] * 4
    assert len(place.server.asked) == 1


def test_progress_counts_what_was_here(place: Place) -> None:
    seen: list[tuple[int, int | None]] = []
    place.serves(cut(), ranges())
    place.cache.mkdir()
    transfer.transfer(f"{place.url}/good.csv", transfer.Partial(place.part), lambda *now: seen.append(now))
    counts = [received for received, _ in seen]
    assert counts == sorted(counts)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
