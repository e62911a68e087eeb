"""Where the demo keeps what it makes beside the registry."""

from dataclasses import dataclass
from pathlib import Path

from lorarack.registry.settings import home_folder


@dataclass(frozen=True, slots=True)
class Places:
    """Files and folders under the home folder."""

    home: Path

    @property
    def catalog(self) -> Path:
        """The registry's catalog."""
        return self.home / "catalog.sqlite"

    @property
    def bases(self) -> Path:
        """The base models."""
        return self.home / "bases"

    @property
    def evaluation(self) -> Path:
        """Every answer of the comparison, with its score."""
        return self.home / "demo" / "evaluation"

    @property
    def server_log(self) -> Path:
        """What the server said."""
        return self.home / "demo" / "serve.log"

    @property
    def hub(self) -> Path:
        """The kept version as it would go to the Hub."""
        return self.home / "demo" / "hub"


def places() -> Places:
    """Those of the present home folder."""
    return Places(home_folder())
