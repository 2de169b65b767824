"""Figures in Markdown."""

from __future__ import annotations

from bench.report.gallery import Gallery
from bench.report.render.markdown import escape


def picture(gallery: Gallery, scenario: str, kind: str) -> list[str]:
    """Blocks: the figure and its caption, if any; nothing where it was not drawn."""
    found = gallery.get((scenario, kind))
    if found is None:
        return []
    image = f"![{escape(found.alt)}](figures/{found.stem}.svg)"
    return [image, escape(found.caption)] if found.caption else [image]
