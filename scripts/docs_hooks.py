"""What `make docs` does besides MkDocs: pages that lie outside docs/, and formulas without a script.

There is no address that links out of docs/ could be turned into, so the site has these files too: a page of each .md,
and of anything else (a config) the file itself, where it stands in the repository. So a link works on GitHub and in the
site.
"""

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)[^)\s]+(?=\))")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Adds to the site what its pages link to outside docs/, and what these pages link to."""
    todo = [(f"docs/{file.src_uri}", Path(file.abs_src_path)) for file in files.documentation_pages()]
    while todo:
        name, path = todo.pop()
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.partition("#")[0]))
            inside = target.startswith("docs/") or target in files.src_uris
            if not inside and (ROOT / target).is_file():  # else MkDocs says that the link is broken
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
                if target.endswith(".md"):
                    todo.append((target, ROOT / target))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between the repository's places → links between the site's, where docs/ is the top."""
    outside = page.file.generated_by is not None
    name = page.file.src_uri if outside else f"docs/{page.file.src_uri}"

    def moved(match: re.Match[str]) -> str:
        path, mark, anchor = match[0].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)).removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".") + mark + anchor

    return LINK.sub(moved, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """LaTeX → MathML, which browsers show without a script."""

    def formula(match: re.Match[str]) -> str:
        return convert(html.unescape(match[2]), display="inline" if match[1] == "span" else "block")

    return FORMULA.sub(formula, content)
