"""What the pages of the reference take from the code when they are read.

A comment alone on its line stands for the text that is made here:

    <!-- api: PAGE -->        the entries of a page of `surface.PAGES`
    <!-- table: NAME -->      a table of `TABLES`
    <!-- commands -->         every command with its arguments and options
    <!-- schema -->           the JSON Schema of a comparison, object by object

Comments that speak to the tests (`<!-- test: ... -->`, see tests/test_docs.py) are taken out, and from pages of
the gallery the archives, which hold no more than the script beside them. Links to files of the repository become links
to `repository` where that is configured; else Sphinx offers the files themselves.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import docstrings
import surface
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PLACE = re.compile(r"^<!-- (api|table|commands|schema)(?:: ([\w-]+))? -->$", re.MULTILINE)
TESTS = re.compile(r"^<!-- test:.*?-->\n?", re.MULTILINE | re.DOTALL)
ZIP = re.compile(r"^ *\.\. container:: sphx-glr-download sphx-glr-download-zip\n\n.*\n", re.MULTILINE)
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^(```+|~~~+|:::+).*?^\1\s*$", re.MULTILINE | re.DOTALL)


# Markdown


def cell(text: object) -> str:
    """A cell of a table: no bars, no marks that Markdown or the mathematics would read, code as it stands."""
    parts = re.split(r"(`[^`]+`)", " ".join(str(text).split()))
    plain = (re.sub(r"([\\*_$<>\[\]{}~])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))
    return "".join(plain).replace("|", "\\|")


def code(text: object) -> str:
    return f"`{text}`".replace("|", "\\|") if str(text) else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


# The tables


def objectives() -> str:
    from pushforward.objectives import OBJECTIVES

    rows = [[code(name), cell(one.estimates), cell(one.tight), cell(one.source)] for name, one in OBJECTIVES.items()]
    return table(["name", "what it estimates", "exact when", "source"], rows)


def links() -> str:
    from pushforward.links import LINKS

    rows = [[code(name), ", ".join(code(tag) for tag in sorted(link.tags))] for name, link in LINKS.items()]
    return table(["name", "what is true of it"], rows)


def regularisers() -> str:
    from pushforward.training.regularisers import REGULARISERS

    rows = [[code(name), cell(one.does), cell(one.number), cell(one.source)] for name, one in REGULARISERS.items()]
    return table(["name", "what it does", "its number", "source"], rows)


def refinements() -> str:
    from pushforward.models.refine import METHODS

    return table(
        ["name", "what it does", "source"],
        [[code(name), cell(one.does), cell(one.source)] for name, one in METHODS.items()],
    )


def velocities() -> str:
    from pushforward.flow import VELOCITIES

    rows = [[code(one.name), cell(one.what), cell(one.descends), cell(one.source)] for one in VELOCITIES.values()]
    return table(["name", "where rows move", "what descends", "source"], rows)


def optimisers() -> str:
    from pushforward.training.optimisers import OPTIMISERS

    rows = []
    for name, make in OPTIMISERS.items():
        told = (inspect.getdoc(make) or "").split("\n\n")[0]
        rows.append([code(name), cell(told)])
    return table(["name", "what it is"], rows)


def methods() -> str:
    """One table a family, and every method at length."""
    from pushforward.cli.catalogue import described, families

    out = []
    for family, found in families().items():
        out.append(f"## {family[:1].upper()}{family[1:]}\n")
        out.append(
            table(
                ["name", "what it sees", "cost", "assumes"],
                [[code(name), cell(one.reads), cell(one.cost), cell(one.assumes)] for name, one in found.items()],
            )
        )
        for name in found:
            told = described(name)
            options = ", ".join(code(f"{key}={value}" if value else key) for key, value in told["options"].items())
            takes = "can be taken" if told["missing_values"] else "are refused"
            out.append(
                f"`{name}`\n: {cell(told['about']) or cell(told['sees'])}\n\n"
                f"  Convention: {cell(told['convention'])}. Effect: {cell(told['effect'])}. "
                f"Gives: {', '.join(told['gives'])}. At least {told['least_rows']} rows a side; "
                f"missing values {takes}. Options: {options or 'none'}.\n"
            )
    return "\n".join(out)


def metrics() -> str:
    """One table a group, in the order of reading."""
    from pushforward.evaluation.catalogue import ALWAYS, GROUPS, figures
    from pushforward.evaluation.figures import KINDS

    out = ["## Always measured\n"]
    out.append(table(["name", "what it reads"], [[code(name), cell(reads)] for name, reads in ALWAYS.items()]))
    rest = sorted({one.group for one in figures().values()} - set(GROUPS))
    for group in (*GROUPS, *rest):
        rows = []
        for name, one in figures().items():
            if one.group == group:
                needs = [
                    *([" and ".join(one.kinds)] * (one.kinds != KINDS)),
                    *(code(f"--{role}") for role in one.needs),
                ]
                gives = ", ".join(code(other) for other in one.gives if other != name)
                reads = cell(one.reads) + (f". Also gives {gives}" if gives else "")
                rows.append(
                    [code(name), reads, ", ".join(one.suites) or "on request", ", ".join(needs), cell(one.source)]
                )
        if rows:
            out.append(f"## {group[:1].upper()}{group[1:]}\n")
            out.append(table(["name", "what it reads", "suites", "only for, needs", "source"], rows))
    return "\n".join(out)


def models() -> str:
    """What each is and can do, and its settings with their defaults."""
    from pushforward.models import NAMES, WHAT, by_name

    more = ("log_prob", "encode", "decode", "reconstruct", "translate", "fill", "features")
    rows, out = [], []
    for name in NAMES:
        family = by_name(name)
        can = [*["sample"] * hasattr(family, "sample"), *(one for one in more if hasattr(family, one))]
        link = f"{{py:class}}`{NAMES[name]} <pushforward.models.{NAMES[name]}>`"
        rows.append([code(name), link, cell(WHAT[name]), ", ".join(code(one) for one in can)])
        settings = inspect.signature(family).parameters
        said = ", ".join(code(f"{one}={_default(item.default)}") for one, item in settings.items())
        out.append(f"`{name}`\n: {said or 'none'}\n")
    return "\n".join(
        [table(["name", "class", "what it is", "what it can do beside `fit`"], rows), "## Settings\n", *out]
    )


def _default(value: object) -> str:
    return json.dumps(value, default=repr)


def encoders() -> str:
    from pushforward.evaluation.encoders import ENCODERS

    return table(["name", "what it gives"], [[code(name), cell(what)] for name, what in ENCODERS.items()])


def builtin() -> str:
    from pushforward.data.builtin import SAMPLES, read_builtin
    from pushforward.data.toys import TOYS

    rows = []
    for name in SAMPLES:
        data = read_builtin(f"sample:{name}")
        shape = "x".join(str(n) for n in data.values.shape[1:] if n != 1)
        what = f"{len(data.values.columns)} columns" if data.kind == "table" else f"{shape}, one channel"
        rows.append([code(f"sample:{name}"), data.kind, f"{len(data):,}", what])
    for name, toy in TOYS.items():
        modes = f"; {len(toy.modes)} modes of deviation {toy.sigma:g}" if toy.modes is not None else ""
        plane = f"{toy.d} coordinate{'s' * (toy.d > 1)}{modes}; exact density"
        rows.append([code(f"toy:{name}"), "points", f"{toy.rows:,}", plane])
    return table(["name", "kind", "rows by default", "what"], rows)


TABLES: dict[str, Callable[[], str]] = {
    make.__name__: make
    for make in (
        objectives,
        links,
        velocities,
        regularisers,
        optimisers,
        refinements,
        methods,
        metrics,
        models,
        encoders,
        builtin,
    )
}


# The command line


def commands() -> str:
    """Every command by panels, in the order of `pushforward --help`."""
    from pushforward.cli.app import app
    from pushforward.cli.shared import PANELS

    found = {one.name or str(one.callback.__name__): one.callback for one in app.registered_commands if one.callback}
    out = []
    for panel, names in PANELS.items():
        out.append(f"**{panel}**\n")
        rows = [[f"[`{name}`](#cli-{name})", cell(inspect.getdoc(found[name]))] for name in names]
        out.append(table(["command", "what it does"], rows))
    return "\n".join([*out, *(_command(name, found[name]) for names in PANELS.values() for name in names)])


def _command(name: str, function: Callable[..., Any]) -> str:
    """The command as its function states it: `Annotated` parameters of typer."""
    from typer.models import ArgumentInfo

    hints = get_type_hints(function, include_extras=True)
    words, needed, rows = [], [], []
    for key, parameter in inspect.signature(function).parameters.items():
        kind, told = get_args(hints[key])
        required = parameter.default is inspect.Parameter.empty
        if isinstance(told, ArgumentInfo):
            value = (told.metavar or key.upper()).strip("[]")
            words.append(value if required else f"[{value}]")
            rows.append([code(value), cell(told.help or ""), ""])
            continue
        # within `Annotated` typer keeps the first word where a default would be
        first = [told.default] if isinstance(told.default, str) and told.default.startswith("-") else []
        flags = sorted([*first, *(told.param_decls or ())], key=len, reverse=True) or [f"--{key.replace('_', '-')}"]
        value = _value(kind, told)
        needed += [f"{flags[0]} {value}"] if required else []
        flag = ", ".join(code(one) for one in flags) + (f" {code(value)}" if value else "")
        rows.append([flag, cell((told.help or "") + _range(told)), "required" if required else _set(parameter.default)])
    usage = " ".join(["pushforward", name, *words, *needed, "[OPTIONS]"])
    return "\n".join(
        [
            f"(cli-{name})=\n## {name}\n",
            f"{cell(inspect.getdoc(function))}\n",
            f"```text\n{usage}\n```\n",
            table(["argument or option", "what it says", "default"], rows),
        ]
    )


def _value(kind: Any, told: Any) -> str:
    """What stands after an option; nothing after a flag."""
    while get_args(kind):  # of `list[str] | None`
        kind = get_args(kind)[0]
    if kind is bool:
        return ""
    if told.metavar:
        return str(told.metavar)
    if issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "NAME")


def _range(told: Any) -> str:
    if told.min is not None and told.max is not None:
        return f" From {told.min:g} to {told.max:g}."
    return f" At least {told.min:g}." if told.min is not None else ""


def _set(default: Any) -> str:
    if default is None or default is False:
        return ""
    return code(getattr(default, "value", default))


# The schema


def schema() -> str:
    """Each object of the JSON with its fields."""
    from pushforward.evaluation.schema import json_schema

    whole = json_schema()
    out = [_object(whole)]
    for name, one in whole["$defs"].items():
        out += [f"(json-{name.lower()})=\n### {name}\n", _described(name), _object(one)]
    return "\n".join(out)


def _described(name: str) -> str:
    for full, shown in surface.canonical().items():
        if full.endswith(f".{name}") and ".evaluation" in full:
            return f"Written from {{py:class}}`{shown}`.\n"
    return ""


def _object(one: dict[str, Any]) -> str:
    needed = set(one.get("required", ()))
    rows = [
        [code(name), _type(what), "always" if name in needed else "may be absent"]
        for name, what in one.get("properties", {}).items()
    ]
    return table(["field", "type", ""], rows)


def _type(what: dict[str, Any]) -> str:
    if "const" in what:
        return code(json.dumps(what["const"]))
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#json-{name.lower()})"
    if "anyOf" in what:
        return " or ".join(_type(part) for part in what["anyOf"])
    if what.get("type") == "array":
        return f"array of {_type(what['items'])}"
    return str(what.get("type", "anything"))


# The entries of the reference


def api(page: str) -> str:
    """The modules of a page: what each is for, a table of its names, and every name at length."""
    out = []
    modules = surface.PAGES[page]
    for module in modules:
        if len(modules) > 1:
            out.append(f"## {module}\n")
        out += ["```{eval-rst}", f".. automodule:: {module}", "   :no-members:", "", *_summary(module), "```", ""]
        out += ["```{eval-rst}", *_entries(module), "```", ""]
    if page == surface.SHARED:
        out += ["## What models have in common\n", "Methods that several models share are described once, here.\n"]
        out += ["```{eval-rst}"]
        for base in surface.bases():
            out += [*_class(f"{base.__module__}.{base.__qualname__}"), ""]
        out += ["```", ""]
    return "\n".join(out)


def _summary(module: str) -> list[str]:
    loaded = importlib.import_module(module)
    rows = [".. list-table::", "   :widths: 30 70", "   :class: names", ""]
    names = surface.names_of(module)
    for name in names:
        value = getattr(loaded, name)
        if inspect.ismodule(value):
            shown, role = value.__name__, "py:mod"
        else:
            shown = (
                surface.shown().get(value, f"{module}.{name}") if surface.is_documented(value) else f"{module}.{name}"
            )
            role = "py:obj"
        told = docstrings.inline(_first(value), docstrings.Near(module, docstrings.near(value).own))
        rows += [f"   * - :{role}:`{name} <{shown}>`", f"     - {told}".rstrip()]
    return [*rows, ""] if names else []


def _first(value: Any) -> str:
    """The first sentence of what a thing says of itself."""
    if not (surface.is_documented(value) or inspect.ismodule(value)):
        return _what(value)
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value) and text.startswith(f"{value.__name__}("):
        return ""
    sentence = " ".join(text.split("\n\n")[0].split())
    found = re.match(r"^(.+?[.?])(\s|$)", re.sub(r"\b(et al|eq|e\.g|i\.e|vs)\. ", "\\1.\u00a0", sentence))
    return (found[1] if found else sentence.rstrip(":")).replace("\u00a0", " ")


def _what(value: Any) -> str:
    """What a constant is."""
    if isinstance(value, str | int | float):
        return f"`{value!r}`"
    if hasattr(value, "keys"):
        return "A table by name: " + ", ".join(f"`{key}`" for key in value) + "."
    if isinstance(value, tuple | list | frozenset) and all(isinstance(one, str) for one in value):
        return ", ".join(f"`{one}`" for one in value) + "."
    if isinstance(value, tuple | list) and all(hasattr(one, "name") for one in value):
        return "In order: " + ", ".join(f"`{one.name}`" for one in value) + "."
    text = inspect.getdoc(value) if type(value).__module__.startswith(surface.PACKAGE) else ""
    return " ".join((text or "").split("\n\n")[0].split())


def _entries(module: str) -> list[str]:
    loaded = importlib.import_module(module)
    out = []
    for name in surface.names_of(module):
        value, full = getattr(loaded, name), f"{module}.{name}"
        if inspect.ismodule(value):
            continue
        if not surface.is_documented(value):
            out += [
                f".. py:data:: {name}",
                f"   :module: {module}",
                "",
                f"   {docstrings.inline(_what(value), docstrings.Near(module))}",
                "",
            ]
        elif surface.shown()[value] != full:
            continue
        elif inspect.isclass(value):
            out += _class(full)
        else:
            out += [f".. autofunction:: {full}", ""]
    return out


def _class(full: str) -> list[str]:
    module, _, name = full.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
    return [f".. {kind}:: {full}", "   :members:", "   :member-order: bysource", ""]


# The events


def fill(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put what is made from the code in the places of a page."""
    text = ZIP.sub("", content[0]) if docname.startswith("auto_examples/") else TESTS.sub("", content[0])
    text = PLACE.sub(lambda found: _made(found[1], found[2]), text)
    if Path(app.env.doc2path(docname)).suffix == ".md":
        text = _links(text, Path(app.env.doc2path(docname)), Path(app.srcdir), app.config.repository)
    content[0] = text


def _made(kind: str, name: str | None) -> str:
    if kind == "api":
        return api(str(name))
    if kind == "table":
        return TABLES[str(name)]()
    return commands() if kind == "commands" else schema()


def _links(text: str, page: Path, docs: Path, repository: str) -> str:
    """Links to folders lead to their index, those beyond the documentation to the repository if it has an address."""

    def turned(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / found[2]))
        if not target.exists():
            return found[0]
        if target.is_dir() and (target / "index.md").exists():
            return f"{found[1]}{found[2].rstrip('/')}/index.md{found[3] or ''}{found[4]}"
        outside = not target.is_relative_to(docs)
        if repository and (outside or target.is_dir()):
            return f"{found[1]}{repository}/{os.path.relpath(target, docs.parent)}{found[4]}"
        return found[0]

    out, last = [], 0
    for fence in FENCE.finditer(text):
        if fence[0].startswith(":"):
            continue
        out += [LINK.sub(turned, text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*out, LINK.sub(turned, text[last:])])


def outdated(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Pages that are made from the code are read again every time."""
    return [name for name in env.found_docs if name.startswith("reference/") and name not in added]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("repository", "", "env", types=frozenset({str}))
    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
