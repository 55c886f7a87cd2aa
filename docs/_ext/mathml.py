"""Formulas as MathML, made when the page is built: readers need neither the network nor a script for them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def _made(tex: str, node: nodes.Node, *, block: bool) -> str:
    try:
        return str(tex2mathml(tex, as_block=block))
    except (MathError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # docutils means `MathError`, and stumbles otherwise; where pages are written in parallel Sphinx would lose it
        logger.warning("formula cannot be shown (%s): %s", error, tex, location=node, type="mathml")
        return ""


def inline(self: Any, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{_made(node.astext(), node, block=False)}</span>')
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(_made(node.astext(), node, block=True) + "</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
