"""Where results are: a folder, an archive, or either of them as it was committed in git."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath

from bench.contracts.errors import BenchError
from bench.results.archive import unpacked
from bench.results.audit import AUDITS
from bench.results.provenance import git

GIT_SECONDS = 300.0


@contextmanager
def opened(place: str, forms: str) -> Iterator[Path]:
    """A place as a folder of results, or a file of benchmarks; what is taken out of git or an archive goes afterwards.

    Args:
        place: A path, or ``COMMIT:PATH`` with a path from the top of the repository; a path that exists takes
            precedence.
        forms: What a place may be, in a sentence for messages.

    Raises:
        BenchError: An archive or a commit cannot be read, or the commit has no such path.
    """
    is_commit = not Path(place).exists() and ":" in place
    with _checked_out(place, forms) if is_commit else nullcontext(Path(place)) as path, unpacked(path) as folder:
        yield folder


@contextmanager
def _checked_out(place: str, forms: str) -> Iterator[Path]:
    """A file or folder as it was committed, in a folder that is gone afterwards.

    Raises:
        BenchError: There is no git, no repository, no such commit, or nothing at that path in it.
    """
    commit, _, path = place.partition(":")
    if not commit or commit.startswith("-"):
        raise BenchError(f"{place}: no such file or folder, and no commit. {forms}")
    _git(f"{place}: not in a git repository. Go into one, or name a folder.", "rev-parse", "--git-dir")
    _git(
        f"{place}: no commit {commit!r} in this repository", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"
    )
    missing = f"{place}: commit {commit!r} has no {path!r}. Give the path from the top of the repository."
    found = _git(missing, "rev-parse", "--verify", "--quiet", place.rstrip("/") if path else place)
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / "content" / (PurePosixPath(path).name or "results")
        target.parent.mkdir()
        failed = f"{place}: git cannot give it out"
        if _git(failed, "cat-file", "-t", found) == "blob":
            _extract(failed, commit, target.parent, path)
            yield target.parent / path
            return
        _extract(failed, found, target)
        beside = f"{commit}:{PurePosixPath(path).parent / AUDITS}"
        with suppress(BenchError):  # there are none, or they are in the folder itself
            _extract(failed, _git(failed, "rev-parse", "--verify", "--quiet", beside), target.parent / AUDITS)
        yield target


def _extract(failed: str, tree: str, target: Path, *below: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        packed = Path(work) / "packed.zip"
        _git(failed, "archive", "--format=zip", f"--output={packed}", tree, "--", *below)
        with zipfile.ZipFile(packed) as file:
            file.extractall(target)


def _git(failed: str, *words: str) -> str:
    """What git prints in the working folder; ``failed`` is the mistake where it does not."""
    try:
        return git(Path.cwd(), *words, timeout=GIT_SECONDS)
    except FileNotFoundError:
        raise BenchError("COMMIT:PATH needs git, which is not installed here") from None
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        raise BenchError(failed) from None
