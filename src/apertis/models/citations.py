"""Citations: references from a text to its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from apertis.models.model import Tagged, Unknown


class UnknownCitation(Unknown):
    """A citation of a kind that this version does not know."""


class _Citation(Tagged):
    unknown_variant: ClassVar[type[Unknown] | None] = UnknownCitation


class CharLocation(_Citation, tag="char_location"):
    """A range of characters of a plain text document; the end is exclusive, counting from 0."""

    type: Literal["char_location"] = "char_location"
    cited_text: str
    document_index: int
    start_char_index: int
    end_char_index: int
    document_title: str | None = None
    file_id: str | None = None


class PageLocation(_Citation, tag="page_location"):
    """A range of pages of a PDF; the end is exclusive, counting from 1."""

    type: Literal["page_location"] = "page_location"
    cited_text: str
    document_index: int
    start_page_number: int
    end_page_number: int
    document_title: str | None = None
    file_id: str | None = None


class ContentBlockLocation(_Citation, tag="content_block_location"):
    """A range of blocks of a document made of blocks; the end is exclusive, counting from 0."""

    type: Literal["content_block_location"] = "content_block_location"
    cited_text: str
    document_index: int
    start_block_index: int
    end_block_index: int
    document_title: str | None = None
    file_id: str | None = None


class WebSearchResultLocation(_Citation, tag="web_search_result_location"):
    """A page that web search found. `encrypted_index` must be sent back as it is."""

    type: Literal["web_search_result_location"] = "web_search_result_location"
    cited_text: str
    url: str
    encrypted_index: str
    title: str | None = None


class SearchResultLocation(_Citation, tag="search_result_location"):
    """A range of blocks of a `search_result` block that the caller sent; the end is exclusive."""

    type: Literal["search_result_location"] = "search_result_location"
    cited_text: str
    source: str
    search_result_index: int
    start_block_index: int
    end_block_index: int
    title: str | None = None


_Known = (
    CharLocation
    | PageLocation
    | ContentBlockLocation
    | WebSearchResultLocation
    | SearchResultLocation
)
if TYPE_CHECKING:
    Citation = _Known | UnknownCitation
else:
    # msgspec decodes what is known; the other road knows what stands for the rest.
    Citation = _Known
