"""What mkdocs calls while it builds the site: files outside ``docs/`` that pages link to become pages too."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import reference
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "repository"
STATIC = {".svg", ".png", ".csv", ".html"}
CODE = re.compile(r"(^```.*?^```$|``.+?``|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
LANGUAGES = {".py": "python", ".toml": "toml", ".cff": "yaml"}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made from code, then every file of the repository that a page links to."""
    for uri, text in reference.pages():
        files.append(File.generated(config, uri, content=text))
    asked = [path_of(uri) for uri in re.findall(rf"{OUTSIDE}/[^'\"]+", repr(config.nav))]
    for file in files.documentation_pages():
        if file.generated_by is None:
            asked += linked(Path(file.abs_src_path))
    seen = set[Path]()
    while asked:
        path = asked.pop()
        if path in seen or path.is_relative_to(ROOT / "docs"):
            continue
        seen.add(path)
        if path.suffix in STATIC:
            files.append(File.generated(config, uri_of(path), abs_src_path=str(path)))
            continue
        files.append(File.generated(config, uri_of(path), content=content_of(path)))
        asked += linked(path) if path.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where the files stand in the site."""
    uri = page.file.src_uri
    if uri.startswith("reference/"):
        return markdown
    here = path_of(uri)

    def moved(found: re.Match[str]) -> str:
        target = uri_of(Path(os.path.normpath(here.parent / found[1])))
        return f"]({os.path.relpath(target, Path(uri).parent)}{found[2] or ''})"

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def linked(page: Path) -> Iterator[Path]:
    """The files that a Markdown file links to."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for target, _ in LINK.findall(text):
        yield Path(os.path.normpath(page.parent / target))


def uri_of(path: Path) -> str:
    """Where a file or folder of the repository stands in the site's sources."""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    uri = f"{OUTSIDE}/{path.relative_to(ROOT).as_posix()}"
    if path.is_dir():
        return f"{uri}/index.md"
    return uri if path.suffix in {".md", *STATIC} else f"{uri}.md"


def path_of(uri: str) -> Path:
    """The file of the repository that stands at a place of the site's sources: the inverse of `uri_of`."""
    if not uri.startswith(f"{OUTSIDE}/"):
        return ROOT / "docs" / uri
    path = ROOT / uri.removeprefix(f"{OUTSIDE}/")
    if path.name == "index.md":
        return path.parent
    return path if path.exists() else path.with_suffix("")


def content_of(path: Path) -> str:
    """A file of the repository as a page: Markdown as it is, a notebook's cells, code as a block, a folder's names."""
    if path.is_dir():
        names = sorted(one.name for one in path.iterdir() if not one.name.startswith(("_", ".")))
        return "\n".join([f"# {path.relative_to(ROOT)}", "", *(f"- `{name}`" for name in names)])
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    if path.suffix == ".ipynb":
        return "\n\n".join(map(cell_text, json.loads(text)["cells"]))
    return f"# {path.relative_to(ROOT)}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def cell_text(cell: dict[str, Any]) -> str:
    """A notebook's cell as Markdown."""
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
