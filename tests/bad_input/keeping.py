"""Bad input to states, retention, verify and gc."""

from tests.bad_input.world import Case, World, command
from tests.command_line import lorarack

from lorarack.registry import open_registry


def lease(world: World) -> None:
    """A running server has loaded the second version."""
    publish_second(world)
    with open_registry(world.home) as registry:
        registry.lease(registry.resolve("support@2"), "host:8000/1")


def publish_second(world: World) -> None:
    lorarack(*world.publish())


def keep_last(world: World) -> None:
    publish_second(world)
    lorarack("retention", "support", "--keep-last", 5)


def child(world: World) -> None:
    """The third version descends from the second."""
    publish_second(world)
    lorarack("publish", world.root / "published", "child", "--base", "tiny", "--parent", "support@2")


STATES = [
    Case("archive under an alias", command("archive", "support@1"), "is named by alias default; move it first with"),
    Case("archive by a name that moves", command("archive", "support"), "name the version itself: support@1", 2),
    Case("archive of no version", command("archive", "support@9"), "nothing at '@9'"),
    Case("archive of no reference", command("archive", "Support!"), "is not a reference", 2),
    Case("reason in another encoding", command("archive", "support@1", "--reason", "\udcff"), "is not valid UTF-8", 2),
    Case("restore of no adapter", command("restore", "suport@1"), "Did you mean 'support'?"),
    Case("restore by a name that moves", command("restore", "support@latest"), "name the version itself", 2),
    Case("quarantine for no reason", command("quarantine", "support@1", "--reason", " "), "Say why it is quarantined", 2),
    Case("quarantine of no version", command("quarantine", "support@9", "--reason", "x"), "nothing at '@9'"),
    Case("delete of what is in use", command("delete", "support@2"), "or archive the version", prepare=lease),
    Case("delete of what a rule keeps", command("delete", "support@2"), "among the newest 5, which", prepare=keep_last),
    Case("delete of a parent", command("delete", "support@2"), "the parent of child@1; delete that first", prepare=child),
]  # fmt: skip

KEYS = [
    Case("key without a name", command("key", "add", ""), "cannot name a key", 2),
    Case("key with a name that logs use", command("key", "add", "key-1"), "give the key another name", 2),
    Case("key for nothing that is", command("key", "add", "ci", "--adapters", "Acme!"), "matches no adapter", 2),
    Case("key until no moment", command("key", "add", "ci", "--expires", "soon"), "30min for from now", 2),
    Case("key until a moment past", command("key", "add", "ci", "--expires", "2001-01-01"), "never open anything", 2),
    Case("key again", command("key", "add", "ci"), "a key 'ci' (active)", prepare=lambda _: lorarack("key", "add", "ci")),
    Case("no such key revoked", command("key", "revoke", "ci"), "There is no key 'ci'"),
]  # fmt: skip

RULES = [
    Case("rule for no adapter", command("retention", "suport", "--keep-last", 3), "Did you mean 'support'?"),
    Case("rule of no adapter", command("retention", "suport"), "Did you mean 'support'?"),
    Case("rule that keeps nothing", command("retention", "support", "--keep-last", 0), "cannot be a retention rule", 2),
    Case("rule of no days", command("retention", "support", "--keep-days", -1), "cannot be a retention rule", 2),
    Case("rule and no rule", command("retention", "support", "--none", "--keep-last", 1), "--none means no rule", 2),
    Case("rule for a base", command("retention", "tiny", "--none"), "There is no adapter 'tiny'"),
    Case("rule for no name", command("retention", "No Name"), "cannot be a name", 2),
]

GC = [
    Case("grace below nothing", command("gc", "--grace", -1), "is out of range; give 0 or more", 2),
    Case("grace without end", command("gc", "--grace", "inf"), "is out of range", 2),
    Case("grace that is no number", command("gc", "--grace", "nan"), "is out of range", 2),
    Case("verify of nothing", command("verify"), "Name one version, or give --all", 2),
    Case("verify of one and all", command("verify", "support", "--all"), "Name one version, or give --all", 2),
    Case("verify of no version", command("verify", "support@9"), "nothing at '@9'"),
]

CASES = [*STATES, *KEYS, *RULES, *GC]
