"""The hosts that DNS lists as the nodes of a domain: SRV records, by the system's name servers."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectError
from twisted.names import client, dns, error

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The service and its protocol, before the domain.
SERVICE = "_flocon._tcp."
#: Seconds for which each name server is waited for, one after the other.
TIMEOUTS = (1, 3, 5)


async def hosts_listed(
    reactor: Any, domain: str, servers: Sequence[tuple[str, int]] | None = None
) -> list[str]:
    """Return the hosts, the best first; raise OSError where no name server knows of any.

    Without ``servers`` those of resolv.conf are asked.
    """
    resolver = client.Resolver(
        resolv="/etc/resolv.conf" if servers is None else None,
        servers=list(servers or ()),
        reactor=reactor,
        timeout=TIMEOUTS,
    )
    try:
        answers, _, _ = await resolver.lookupService(SERVICE + domain.rstrip("."), TIMEOUTS)
    except (error.DomainError, error.ResolverError, ConnectError) as reason:
        why = f"DNS lists no {SERVICE}{domain} ({type(reason).__name__})"
        raise OSError(errno.ENOENT, why) from None
    finally:
        _close(resolver)
    listed = [one.payload for one in answers if one.type == dns.SRV]
    listed.sort(key=lambda one: (one.priority, -one.weight))
    hosts = [str(one.target.name.decode("ascii", "replace")).rstrip(".") for one in listed]
    # A root target means that there is none (RFC 2782).
    return [one for one in dict.fromkeys(hosts) if one]


def _close(resolver: client.Resolver) -> None:
    """Leave no delayed call behind: it looks at resolv.conf every minute."""
    call = getattr(resolver, "_parseCall", None)
    if call is not None and call.active():
        call.cancel()
