"""A version's own chat template, which is kept with it and not applied: said, for its answers may not be what was trained.

vLLM renders the prompts of all adapters with one template.
"""

import logging
from collections.abc import Callable

from lorarack.registry import Version
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE
from lorarack.server.exchange import Exchange, Observer

log = logging.getLogger(__name__)


def own_template(version: Version, base_template: str | None) -> str | None:
    """The digest of the version's chat template; None where it has none, or the base's (``base_template``)."""
    found = next((file.digest for file in version.files if file.name == CHAT_TEMPLATE), None)
    return found if found != base_template else None


class TemplateNotice:
    """Says once of each version that its own template is not applied, when it has answered.

    Args:
        base_template: the digest of the base's, as the registry has it now.
    """

    def __init__(self, base_template: Callable[[], str | None]) -> None:
        self._base_template = base_template
        self._said: set[str] = set()

    @property
    def observer(self) -> Observer:
        """What says it."""
        return Observer(end=self._ended)

    def _ended(self, exchange: Exchange) -> None:
        version = exchange.route.adapter if exchange.route else None
        if version is None or version.digest in self._said:
            return
        self._said.add(version.digest)
        if digest := own_template(version, self._base_template()):
            log.warning(
                "%s has a chat template of its own (%s), which is not applied: chats are rendered with the base's.",
                version.reference, digest[:19],
            )  # fmt: skip
