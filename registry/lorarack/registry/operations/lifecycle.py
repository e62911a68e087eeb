"""States, leases, retention and deletion."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lorarack.registry.errors import UsageError
from lorarack.registry.operations.parts import Parts
from lorarack.registry.reference import check_adapter_name, parse_reference
from lorarack.registry.texts import MAX_NAME, check_text
from lorarack.registry.values import State, Version

if TYPE_CHECKING:
    from lorarack.registry.retention import Retention


class KeepingOperations(Parts):
    """What becomes of versions in time."""

    def archive(self, reference: str, reason: str | None = None) -> Version:
        """Put a version aside: it resolves by number and digest only, and ``gc`` may take it when nothing holds it.

        Raises:
            Conflict: an alias names it, or a server uses it. Else like ``delete``.
        """
        return self._to_state(reference, State.ARCHIVED, reason)

    def quarantine(self, reference: str, reason: str) -> Version:
        """Let nobody use a version any more, whatever names it. Raises like ``delete``."""
        check_text(reason, "reason")
        if not reason.strip():
            raise UsageError("Say why it is quarantined; others will read it.", code="no_reason")
        return self._to_state(reference, State.QUARANTINED, reason)

    def restore(self, reference: str, reason: str | None = None) -> Version:
        """Make a version ready again, whoever put it aside; all its stored bytes are read first.

        Raises:
            Damaged: they are not what was stored. StoreError: they cannot be read. Else like ``delete``.
        """
        self._verify(self._named(reference))
        return self._to_state(reference, State.READY, reason)

    def delete(self, reference: str) -> Version:
        """Forget a version; returns what it was. Its number is never used again.

        Raises:
            Conflict: an alias, a lease of a running server, a child or a retention rule holds it.
            UsageError: the reference can move to another version. Else like ``resolve``, but in any state.
        """
        version = self._named(reference)
        self._changer.delete_version(version.adapter, version.number)
        return version

    def lease(self, versions: Version | Sequence[Version], holder: str, seconds: float = 60.0) -> None:
        """Hold versions for a running server; said again well before the time is over. What is not there is passed over.

        The end is a moment by this machine's clock. A clock that is set back lets leases hold longer, which harms nothing,
        until the holder says it again by the new clock; one that is set forward ends them until then, and only an archived
        version could go in that time. Renew in a third of ``seconds`` or less.

        Raises:
            NotFound: none of them is there. UsageError: a time that is not above 0 and at most a day.
        """
        if not 0 < seconds <= 86400:
            raise UsageError(f"A lease of {seconds} seconds makes no sense; give up to a day.", code="bad_lease")
        check_text(holder, "holder", MAX_NAME)
        wanted = [versions] if isinstance(versions, Version) else versions
        self._changer.lease([(version.adapter, version.number) for version in wanted], holder, seconds)

    def release(self, holder: str, version: Version | None = None) -> None:
        """End all leases of ``holder``, or that on one version."""
        self._changer.release(holder, (version.adapter, version.number) if version else None)

    def set_retention(self, adapter: str, *, keep_last: int | None = None, keep_days: int | None = None) -> None:
        """Keep the newest ``keep_last`` versions of an adapter, and those younger than ``keep_days``, from deletion.

        Raises:
            NotFound: no such adapter. UsageError: a number below 1.
        """
        for number in (keep_last, keep_days):
            if number is not None and not 0 < number < 10**6:
                raise UsageError(f"{number} cannot be a retention rule; give 1 or more.", code="bad_retention")
        self._check_known(adapter)
        self._changer.set_retention(adapter, keep_last, keep_days)

    def retention(self, adapter: str) -> "Retention":
        """The adapter's retention rule. Raises ``NotFound``."""
        rule = self._collector.retention(check_adapter_name(adapter))
        if rule is None:
            raise self._no_adapter(adapter)
        return rule

    def _to_state(self, reference: str, state: State, reason: str | None) -> Version:
        check_text(reason, "reason")
        version = self._named(reference)
        self._changer.set_state(version.adapter, version.number, state, reason)
        return self._exact(version.reference)

    def _named(self, reference: str) -> Version:
        """The version that ``reference`` names for ever; a name that can move is refused."""
        parse_reference(reference)
        version = self._exact(reference)
        if reference not in (version.reference, f"{version.adapter}@{version.digest}"):
            raise UsageError(
                f"{reference!r} can come to name another version; name the version itself: {version.reference}.",
                code="movable_reference",
            )
        return version
