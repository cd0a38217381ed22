"""Values that are known of a field, for completion: actions of the standards, identities of the links, finding codes."""

from collections.abc import Iterable, Mapping

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.model import Link
from ocpp_proxy.spec import actions
from ocpp_proxy.spec.versions import SUBPROTOCOLS


class Known:
    """Asked by the filter line while somebody types. ``links`` may grow."""

    def __init__(self, links: Mapping[int, Link]) -> None:
        self._links = links

    def values(self, field: str) -> Iterable[str]:
        """Values of a field, in no order."""
        match field:
            case "protocol":
                return SUBPROTOCOLS
            case "action":
                return {action for version in set(SUBPROTOCOLS.values()) for action in actions.known(version)}
            case "rule":
                return REGISTRY.rules
            case "identity":
                return {link.identity for link in self._links.values() if link.identity}
            case _:
                return ()
