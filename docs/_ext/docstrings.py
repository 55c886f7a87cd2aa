"""Docstrings are plain text; here they become what Sphinx reads.

Conventions of the package: single backticks around code; formulas and programs indented by four spaces; sessions with
`>>>`; tables with bars; lists with hyphens; parameters as lines `name: what it is` with indented continuations. Names
in backticks that are shown in the reference become links. Types in signatures become links where a page shows them, and
else stay as they are: the documentation of other packages would need the network.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any

import surface
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

CODE = re.compile(r"(`+)(.+?)\1")
SPECIAL = re.compile(r"([\\*_|`])")
PARAMETER = re.compile(r"^(?:`?[A-Za-z_]\w*`?(?:, `?[A-Za-z_]\w*`?)*): ")
NAME = re.compile(r"^[A-Za-z_][\w.]*(?:\(\))?$")
ARRAY = re.compile(r"~?(?:numpy\.)?ndarray\[tuple\[[^\]]*\], ~?(?:numpy\.)?dtype\[[^\]]*\]\]")
BEFORE, AFTER = " '\"([{<-/:\u2026", " '\")]}>-/:.,;!?"  # beside which reStructuredText knows marked text
BULLET = re.compile(r"^[-*] ")


@dataclass(frozen=True)
class Near:
    """Where a text stands: in the module `module`, on something whose parameters and fields are `own`."""

    module: str
    own: frozenset[str] = frozenset()


def near(obj: Any, name: str = "") -> Near:
    """Where the docstring of `obj`, called `name`, stands."""
    module = getattr(obj, "__module__", None) or (obj.__name__ if inspect.ismodule(obj) else name.rpartition(".")[0])
    own: set[str] = set()
    with contextlib.suppress(TypeError, ValueError):
        own |= set(inspect.signature(obj).parameters)
    if inspect.isclass(obj):
        own |= set(getattr(obj, "__annotations__", ()))
    return Near(module if isinstance(module, str) else surface.PACKAGE, frozenset(own))


def to_rst(text: str, near: Near) -> list[str]:
    """The docstring `text` as reStructuredText."""
    out: list[str] = []
    for block in _blocks(inspect.cleandoc(text)):
        out += [*_block(block, near), ""]
    return out


def _blocks(text: str) -> list[list[str]]:
    """Paragraphs; indented ones and sessions that follow one another are one block."""
    found: list[list[str]] = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        lines = part.split("\n")
        alike = _indented if _indented(lines) else _session if _session(lines) else None
        if found and alike is not None and alike(found[-1]):
            found[-1] += ["", *lines]
        else:
            found += _cut(lines)
    return found


def _cut(lines: list[str]) -> list[list[str]]:
    """A paragraph is cut where lists, tables, parameters or indented formulas begin within it."""
    if _indented(lines) or _session(lines) or _is_table(lines):
        return [lines]
    parts: list[list[str]] = [[]]
    kind = ""
    for line in lines:
        now = "-" if BULLET.match(line) else ":" if PARAMETER.match(line) else ""
        if line.startswith(" "):
            now = kind
            if kind == "" and parts[-1] and parts[-1][-1].rstrip().endswith(":") and line.startswith("    "):
                now = " "
        elif now == "" and kind == "":
            now = ""
        if now != kind and parts[-1]:
            parts.append([])
        kind = now
        parts[-1].append(line)
    return [part for part in parts if part]


def _indented(lines: list[str]) -> bool:
    return all(line.startswith("    ") or not line.strip() for line in lines)


def _is_table(lines: list[str]) -> bool:
    return len(lines) > 2 and all(line.startswith("|") for line in lines)


def _session(lines: list[str]) -> bool:
    return lines[0].startswith(">>>")


def _block(lines: list[str], near: Near) -> list[str]:
    if _session(lines):
        return [".. code-block:: pycon", "", *(f"   {line}" for line in lines)]
    if _indented(lines):
        code = textwrap.dedent("\n".join(lines))
        return [f".. code-block:: {_language(code)}", "", *(f"   {line}" for line in code.split("\n"))]
    if _is_table(lines):
        return _table(lines, near)
    if BULLET.match(lines[0]):
        return _list(lines, near)
    if PARAMETER.match(lines[0]):
        return _parameters(lines, near)
    return [inline(" ".join(line.strip() for line in lines), near)]


def _language(code: str) -> str:
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return "text"
    plain = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.With, ast.For)
    calls = any(isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) for node in tree.body)
    return "python" if calls or any(isinstance(node, plain) for node in tree.body) else "text"


def _table(lines: list[str], near: Near) -> list[str]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    rows = [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row):
            out.append(f"   {'* -' if number == 0 else '  -'} {inline(cell, near)}".rstrip())
    return out


def _list(lines: list[str], near: Near) -> list[str]:
    items: list[str] = []
    for line in lines:
        if BULLET.match(line):
            items.append(line[2:].strip())
        else:
            items[-1] += " " + line.strip()
    return [line for item in items for line in (f"- {inline(item, near)}", "")]


def _parameters(lines: list[str], near: Near) -> list[str]:
    items: list[str] = []
    for line in lines:
        if PARAMETER.match(line) or not items:
            items.append(line.strip())
        else:
            items[-1] += " " + line.strip()
    out = []
    for item in items:
        names, _, rest = item.partition(": ")
        shown = ", ".join(f"``{name.strip().strip('`')}``" for name in names.split(","))
        out += [shown, f"   {inline(rest, near)}"]
    return out


def inline(text: str, near: Near) -> str:
    """One line of text: code as code, names that are shown as links, all else as it stands."""
    out, last = "", 0
    for found in CODE.finditer(text):
        out += _escape(text[last : found.start()])
        if out and out[-1] not in BEFORE:
            out += "\\ "
        out += _code(found[2].strip(), near)
        last = found.end()
        if last < len(text) and text[last] not in AFTER:
            out += "\\ "
    return out + _escape(text[last:])


def _escape(text: str) -> str:
    escaped = SPECIAL.sub(r"\\\1", text)
    return f"\\ {escaped}" if BULLET.match(escaped.lstrip()) else escaped


def _code(code: str, near: Near) -> str:
    if NAME.match(code):
        plain = code.removesuffix("()")
        found = None if plain in near.own else surface.target(plain, near.module)
        if found is not None:
            return f":py:obj:`{code} <{found}>`"
    return f"``{code}``"


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """The event of autodoc: `lines` are replaced in place."""
    text = "\n".join(lines)
    if inspect.isclass(obj) and re.match(rf"^{obj.__name__}\(.*\)$", text.strip(), re.DOTALL):
        text = ""  # what `dataclass` writes where there is no docstring
    if what == "method" and not obj.__doc__ and text.startswith("Define the computation performed"):
        text = ""  # torch's words for `forward`, which say nothing of this one
    lines[:] = to_rst(text, near(obj, name)) if text.strip() else []
    if inspect.isclass(obj) and obj.__module__.startswith(f"{surface.PACKAGE}.models"):
        lines += _inherited(obj)


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, words: str | None, gives: str | None
) -> tuple[str | None, str | None]:
    """The event of autodoc: arrays of NumPy say no more than that they are."""
    return tuple(None if one is None else ARRAY.sub("~numpy.ndarray", one) for one in (words, gives))  # type: ignore[return-value]


def _inherited(cls: type) -> list[str]:
    found = surface.inherited(cls)
    links = []
    for name in sorted(found):
        full = surface.method_of(f"{cls.__module__}.{cls.__qualname__}", name)
        links.append(f":py:obj:`{name} <{full}>`" if full else f"``{name}``")
    return ["", f"*Also:* {', '.join(links)}.", ""] if links else []


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> nodes.Node | None:
    """A name that stands for an object under another name than the shown one, or for one of another package."""
    if node.get("refdomain") != "py":
        return None
    name = str(node["reftarget"]).lstrip(".~")
    full = surface.target(name, node.get("py:module") or surface.PACKAGE)
    domain = env.domains["py"]
    if full is not None and full in domain.objects:  # type: ignore[attr-defined]
        found = domain.objects[full]  # type: ignore[attr-defined]
        from sphinx.util.nodes import make_refnode

        return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, full)
    if (
        "refexplicit" not in node
    ):  # a type in a signature: of another package, an alias, or of a class that no page shows
        return content
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
