"""Lists of addresses and CIDR networks, IPv4 and IPv6, compiled for one look-up a request."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# ::ffff:0:0/96 (RFC 4291 section 2.5.5.2): IPv4 as a socket for both families shows it.
_MAPPED_PREFIX = 96


def parse_network(text: str) -> Network:
    """Read `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32` or an IPv4-mapped form of the former.

    A mapped network comes back as the IPv4 network that it is. `ValueError` says what is wrong,
    and for bits right of the prefix which network may have been meant.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a zone (%...), which no remote client has")
    address_text, slash, prefix_text = text.strip().partition("/")
    address = _parse_address(address_text)
    if address is None:
        raise ValueError(f"{text!r} is neither an IPv4 nor an IPv6 address or network")
    bits = address.max_prefixlen
    if slash and not (prefix_text.isascii() and prefix_text.isdecimal()):
        raise ValueError(
            f"{text!r}: the part after the slash is not a prefix length from 0 to {bits}"
        )
    prefix = int(prefix_text) if slash else bits
    if prefix > bits:
        raise ValueError(f"{text!r}: the prefix length is at most {bits}")
    if address.version == 6 and (mapped := address.ipv4_mapped) and prefix >= _MAPPED_PREFIX:
        address, prefix = mapped, prefix - _MAPPED_PREFIX
    return _strict_network(text, address, prefix)


def normal_address(text: str) -> str:
    """Write an address the one way it is compared in: IPv4-mapped IPv6 as IPv4, no zone.

    What is no address comes back as it is: a peer on a Unix socket has none.
    """
    if ":" not in text:
        return text
    address = _parse_address(text)
    return text if address is None else str(_unmapped(address))


def is_address(text: str) -> bool:
    """Return whether this is an IPv4 or IPv6 address."""
    return _locate(text) is not None


def is_loopback(text: str) -> bool:
    """Return whether this is an address of this machine alone, in whatever family."""
    address = _parse_address(text)
    return address is not None and _unmapped(address).is_loopback


class Networks:
    """A list of networks; a question costs one set look-up for each prefix length in the list.

    IPv4-mapped IPv6 addresses are IPv4 addresses on both sides. An IPv6 network shorter than /96,
    even `::/0`, holds no IPv4 address: `0.0.0.0/0` says that.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, entries: tuple[str, ...]) -> None:
        networks = [parse_network(entry) for entry in entries]
        self._v4 = _by_mask([network for network in networks if network.version == 4])
        self._v6 = _by_mask([network for network in networks if network.version == 6])

    def __contains__(self, address: str) -> bool:
        located = _locate(address)
        if located is None:
            return False
        version, number = located
        for mask, members in self._v4 if version == 4 else self._v6:
            if number & mask in members:
                return True
        return False


# Keys are made from few templates: equal lists share one compiled form.
@lru_cache(maxsize=1024)
def compile_networks(entries: tuple[str, ...]) -> Networks:
    """Read a list of addresses and networks; `ValueError` names the first that is wrong."""
    return Networks(entries)


def _by_mask(networks: list[Network]) -> tuple[tuple[int, frozenset[int]], ...]:
    members: dict[int, set[int]] = {}
    for network in networks:
        members.setdefault(int(network.netmask), set()).add(int(network.network_address))
    return tuple((mask, frozenset(starts)) for mask, starts in members.items())


# The same clients and proxies come again and again.
@lru_cache(maxsize=8192)
def _locate(text: str) -> tuple[int, int] | None:
    address = _parse_address(text)
    if address is None:
        return None
    plain = _unmapped(address)
    return plain.version, int(plain)


def _parse_address(text: str) -> Address | None:
    try:
        if ":" in text:
            return IPv6Address(text.partition("%")[0])
        return IPv4Address(text)
    except AddressValueError:
        return None


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if address.version == 6 else address


def _strict_network(text: str, address: Address, prefix: int) -> Network:
    kind = IPv4Network if address.version == 4 else IPv6Network
    network = kind((int(address), prefix), strict=False)
    if network.network_address != address:
        raise ValueError(
            f"{text!r} has bits right of the prefix: write {network} for the network,"
            f" or {address} for the one address"
        )
    return network


_DATE_LENGTH = len("-20251101")


class ModelList:
    """A key's model list, ready for questions.

    Names are case-sensitive, as the API's are. Two spellings of one model are one name here:

    - dots and dashes: `claude-sonnet-4.5` is `claude-sonnet-4-5`;
    - dates: an entry without a date admits every dated snapshot of that model, and an entry with
      one admits that snapshot and the name without a date, but no snapshot of another date.

    An entry that ends in `*` admits every name that begins with what stands before the star.
    """

    __slots__ = ("_exact", "_prefixes", "_undated")

    def __init__(self, entries: tuple[str, ...]) -> None:
        names = {_plain(entry) for entry in entries if not entry.endswith("*")}
        dated = {name for name in names if _is_dated(name)}
        self._undated = frozenset(names - dated)
        self._exact = frozenset(names | {name[:-_DATE_LENGTH] for name in dated})
        self._prefixes = tuple(_plain(entry[:-1]) for entry in entries if entry.endswith("*"))

    def allows(self, model: str) -> bool:
        """Return whether the list admits this name."""
        name = _plain(model)
        if name in self._exact or (self._prefixes and name.startswith(self._prefixes)):
            return True
        return _is_dated(name) and name[:-_DATE_LENGTH] in self._undated


# Keys are made from few templates: equal lists share one compiled form.
@lru_cache(maxsize=1024)
def compile_models(entries: tuple[str, ...]) -> ModelList:
    """Read a key's model list."""
    return ModelList(entries)


def _plain(name: str) -> str:
    return name.replace(".", "-")


def _is_dated(name: str) -> bool:
    date = name[-_DATE_LENGTH:]
    return len(date) == _DATE_LENGTH and date.startswith("-20") and date[1:].isdecimal()
