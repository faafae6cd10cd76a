"""The budgets: the tree of groups, people and keys, with what is left of each limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from apertis.gateway.console import limit_changes
from apertis.gateway.console.budget_tree import NO_GROUP, PAGE, Node, Tree, limits_in, names_in
from apertis.gateway.console.limits import Shown, show_limits
from apertis.gateway.console.pages import Page, Place
from apertis.gateway.errors import Refusal, not_found
from apertis.gateway.signin.roles import sees_group, sees_person

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Asked, Parts

_PATH = "/console/budgets"
_SHARES = ("50", "75", "90", "100")
# Looked at to find those that somebody sees.
_MAX_FULL = 500


async def see(parts: Parts, asked: Asked) -> Page | Refusal:
    """Show the whole tree, one group or person of it, or what was searched for."""
    tree = Tree(parts.organization, parts.directory, asked.viewer)
    text, at = asked.query.get("q", "").strip(), asked.query.get("at", "")
    spent = asked.query.get("spent", "")
    first = _first(asked)
    title, limits = "Budgets", None
    paged: Node | None = None
    if spent in _SHARES:
        nodes, limits = await _full(parts, tree, int(spent), text)
        title = f"Budgets that are {spent} % spent"
    elif text:
        nodes = tree.found(text)
        title = f"Budgets of '{text}'"
    elif at:
        found = _at(tree, parts, asked, at, first)
        if isinstance(found, Refusal):
            return found
        paged = found
        paged.is_open = True
        nodes, title = [paged], f"Budgets: {paged.name}"
    else:
        top = tree.of_gateway() if asked.viewer.sees_all else None
        nodes = [*([] if top is None else [top]), *tree.roots()]
    is_list = bool(text or spent)
    has_more = is_list and len(nodes) > PAGE
    nodes = nodes[:PAGE] if is_list else nodes
    if limits is None:
        limits = await show_limits(parts, limits_in(nodes), names_in(nodes))
    return Page(
        "budgets.html",
        title,
        {
            "nodes": nodes,
            "limits": limits,
            "q": text,
            "at": at,
            "spent": spent,
            "shares": [("", "any part"), *((share, f"{share} % or more") for share in _SHARES)],
            "has_more": has_more,
            "page_size": PAGE,
            "earlier": _page(at, first - PAGE) if paged is not None and first else "",
            "later": _page(at, first + PAGE) if paged is not None and paged.more else "",
            "may_add": asked.viewer.role in ("administrator", "group_administrator"),
        },
    )


def _first(asked: Asked) -> int:
    number = asked.query.get("page", "")[:6]
    return max(0, PAGE * (int(number) - 1)) if number.isascii() and number.isdecimal() else 0


async def _full(
    parts: Parts, tree: Tree, percent: int, text: str
) -> tuple[list[Node], dict[str, Shown]]:
    """Find the limits of which so much is spent, the fullest first, each with what it is of."""
    ids = await parts.store.organization.fullest(percent, int(parts.now()), _MAX_FULL)
    known = parts.organization.limits
    found = [known[id_] for id_ in ids if id_ in known]
    nodes = [
        node
        for limit in (*found, *tree.full_quotas(percent)[:_MAX_FULL])
        if (node := tree.of_limit(limit)) is not None and text.casefold() in node.name.casefold()
    ]
    limits = await show_limits(parts, limits_in(nodes), names_in(nodes))
    nodes.sort(key=lambda node: -(limits[node.limits[0].id].percent or 0.0))
    return nodes, limits


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
