"""An adapter that loads and changes nothing: vLLM would answer as the base; here it is an error with the reason."""

from pathlib import Path

import pytest
from tests.system.reference import make_adapter
from tests.system.server import Server
from tests.system.session_server import BASE

pytestmark = [pytest.mark.system, pytest.mark.torch]


def test_an_adapter_without_effect_is_refused(server: Server, small_base: Path, tmp_path: Path) -> None:
    """Its B is not zero, so it could be published, and too small for any number to change. Twice the same; others answer."""
    server.registry.publish(make_adapter(small_base, tmp_path / "idle", 8, 90, 1e-30), "idle", base=BASE)
    for _ in range(2):
        refused = server.post("/v1/completions", model="idle", prompt="x", max_tokens=1)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "no_effect")
        assert "idle@1 changes nothing" in refused.json()["error"]["message"]
        assert refused.headers["x-should-retry"] == "false"
    rows = {row["reference"]: row for row in server.client.get("/v1/residency").json()["data"]}
    assert (rows["idle@1"]["state"], rows["idle@1"]["retry_after"]) == ("failed", None)
    assert server.complete("strong@1", "x", max_tokens=1)["model"] == "strong@1"
    rows = {row["reference"]: row for row in server.client.get("/v1/residency").json()["data"]}
    assert "changes the log probabilities of 16 tokens by up to" in rows["strong@1"]["probe"]
