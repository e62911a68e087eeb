"""What a run gives back of a version."""

from lorarack.registry.values import Provenance, Published, Version


class Trained(Published):
    """A version with where this run had it from.

    The version may be older than the run: the same weights are one version, which keeps the provenance of its first run.
    """

    origin: Provenance


def as_trained(done: Published) -> Version:
    """The version with the provenance of the run that gave it back."""
    return done.version.model_copy(update={"provenance": done.origin}) if isinstance(done, Trained) else done.version
