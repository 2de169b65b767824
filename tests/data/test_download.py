"""Finding, downloading and checking files, against a real server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import BenchError
from bench.contracts.dataset import RemoteFile
from bench.data import download, transfer
from bench.data.download import fetch, locate

CONTENT = b"date,a\n2020-01-01,1\n" * 20_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REAL_DOWNLOAD = download._download


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved/good.csv":
            self.send_response(302)
            self.send_header("Location", "/good.csv")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in ("/good.csv", "/short.csv"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/good.csv" else CONTENT[:1000])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join(timeout=5)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(download, "_download", REAL_DOWNLOAD)
    monkeypatch.setattr(download, "cache_folder", lambda: folder)
    monkeypatch.setattr(transfer, "TIMEOUT_S", 5.0)
    monkeypatch.setattr(transfer, "PAUSE_S", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    return folder


def remote(url: str, *sha256: str) -> RemoteFile:
    return RemoteFile("good.csv", (url,), sha256 or (DIGEST,))


def test_a_good_file_is_fetched_once(server: str, cache: Path) -> None:
    file = remote(f"{server}/good.csv", "0" * 64, DIGEST)
    assert locate(file) is None
    path = fetch(file, progress=False)
    assert path == cache / "good.csv"
    assert path.read_bytes() == CONTENT
    assert locate(file) == path
    assert fetch(remote("https://nowhere.invalid/good.csv"), progress=False) == path
    assert [entry.name for entry in cache.iterdir()] == ["good.csv"]


def test_progress_goes_to_standard_error(server: str, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(remote(f"{server}/good.csv"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Downloading good.csv" in captured.err


def test_a_redirect_is_followed(server: str, cache: Path) -> None:
    assert fetch(remote(f"{server}/moved/good.csv"), progress=False).read_bytes() == CONTENT


def test_a_wrong_hash_names_both_and_leaves_nothing(server: str, cache: Path) -> None:
    with pytest.raises(BenchError) as caught:
        fetch(remote(f"{server}/good.csv", "0" * 64), progress=False)
    for part in (DIGEST, "0" * 64, f"{server}/good.csv", "BENCH_DATA_DIR"):
        assert part in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"), [("absent.csv", "HTTP status 404"), ("short.csv", r"closed after 1,000 of 400,000 bytes")]
)
def test_an_address_that_does_not_deliver(server: str, cache: Path, path: str, reason: str) -> None:
    with pytest.raises(BenchError, match=reason) as caught:
        fetch(remote(f"{server}/{path}"), progress=False)
    assert "good.csv is not on this machine" in str(caught.value)
    assert f"{server}/{path}" in str(caught.value)
    assert not (cache / "good.csv").exists()


def test_a_refused_connection_is_one_clear_error(cache: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        port = httpd.server_address[1]  # nobody listens there any more
    with pytest.raises(BenchError, match="set BENCH_DATA_DIR") as caught:
        fetch(remote(f"http://127.0.0.1:{port}/good.csv"), progress=False)
    assert "refused" in str(caught.value)


def test_the_next_address_is_tried(server: str, cache: Path) -> None:
    file = RemoteFile("good.csv", (f"{server}/absent.csv", f"{server}/good.csv"), (DIGEST,))
    assert fetch(file, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://example.org/good.csv", "ftp://example.org/good.csv", "file:///good.csv"])
def test_only_https_is_fetched(cache: Path, url: str) -> None:
    with pytest.raises(BenchError, match="https"):
        fetch(remote(url), progress=False)


def test_the_named_folder_comes_before_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / "good.csv").write_bytes(CONTENT)
    file = remote("https://nowhere.invalid/good.csv")
    assert locate(file) == cache / "good.csv"
    named = tmp_path / "named"
    named.mkdir()
    (named / "good.csv").write_bytes(CONTENT)
    monkeypatch.setenv("BENCH_DATA_DIR", str(named))
    assert locate(file) == named / "good.csv"


def test_a_changed_file_is_an_error(cache: Path) -> None:
    cache.mkdir()
    (cache / "good.csv").write_bytes(CONTENT + b"more")
    with pytest.raises(BenchError, match="unmodified copy") as caught:
        locate(remote("https://nowhere.invalid/good.csv"))
    assert DIGEST in str(caught.value)
    assert hashlib.sha256(CONTENT + b"more").hexdigest() in str(caught.value)


def test_a_named_folder_that_is_not_there_is_an_error(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "absent"))
    with pytest.raises(BenchError, match=r"BENCH_DATA_DIR=.*no such folder"):
        locate(remote("https://nowhere.invalid/good.csv"))


def test_a_cache_that_cannot_be_written_is_one_clear_error(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(BenchError, match="set BENCH_DATA_DIR"):
        fetch(remote("https://nowhere.invalid/good.csv"), progress=False)
