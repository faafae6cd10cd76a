"""The budgets: the tree of groups, people and keys, with what is left of each limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from apertis.gateway.console import limit_changes
from apertis.gateway.console.budget_tree import NO_GROUP, PAGE, Node, Tree, limits_in, names_in
from apertis.gateway.console.limits import dollars, show_limits
from apertis.gateway.console.pages import Page, Place
from apertis.gateway.errors import Refusal, not_found
from apertis.gateway.signin.roles import changes_limits, sees_group, sees_person

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Asked, Parts

_PATH = "/console/budgets"


async def see(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the whole tree, one group or person of it, or what was searched for."""
    tree = Tree(parts.organization, parts.directory, asked.viewer)
    text, at = asked.query.get("q", "").strip(), asked.query.get("at", "")
    number = asked.query.get("page", "1")
    first = PAGE * (int(number[:6]) - 1) if number.isascii() and number.isdecimal() else 0
    first = max(first, 0)
    nodes: list[Node] = []
    title = "Budgets"
    if text:
        nodes = tree.found(text)
        title = f"Budgets of '{text}'"
    elif at:
        node = _at(tree, parts, asked, at, first)
        if isinstance(node, Refusal):
            return node
        node.is_open = True
        nodes, title = [node], f"Budgets: {node.name}"
    else:
        nodes = tree.roots()
    gateway = parts.organization.limits_of("gateway") if asked.viewer.sees_all else ()
    top = Node(
        "gateway",
        "",
        "The whole gateway",
        may_add=changes_limits(asked.viewer, "gateway", "", parts.organization),
        limits=gateway,
    )
    shown = [top, *nodes] if asked.viewer.sees_all and not (text or at) else nodes
    has_more = bool(text) and len(nodes) > PAGE
    paged = nodes[0] if at and nodes else None
    return Page(
        "budgets.html",
        title,
        {
            "nodes": shown[:PAGE] if has_more else shown,
            "limits": await show_limits(parts, limits_in(shown), names_in(shown)),
            "q": text,
            "at": at,
            "has_more": has_more,
            "first": first,
            "page_size": PAGE,
            "earlier": _page(at, first - PAGE) if paged is not None and first else "",
            "later": _page(at, first + PAGE) if paged is not None and paged.more else "",
            "dollars": dollars,
            "may_add": asked.viewer.role in ("administrator", "group_administrator"),
        },
    )


def _at(tree: Tree, parts: Parts, asked: Asked, at: str, first: int) -> Node | Refusal:
    level, _, id_ = at.partition(":")
    organization, viewer = parts.organization, asked.viewer
    if at == NO_GROUP and viewer.sees_all:
        return tree.no_group(first, PAGE)
    group = organization.groups.get(id_) if level == "group" else None
    if group is not None and group.status != "removed" and sees_group(viewer, id_):
        return tree.group(group, first)
    person = organization.people.get(id_) if level == "person" else None
    if person is not None and person.status != "removed" and sees_person(viewer, person):
        return tree.person(person, first)
    return not_found(f"There is nothing at '{at[:100]}'")


def _page(at: str, first: int) -> str:
    return f"{_PATH}?{urlencode({'at': at, 'page': max(first, 0) // PAGE + 1})}"


PLACES = (
    Place("/budgets", "budgets", see, shared=True),
    *limit_changes.PLACES,
)
