"""What the real server's `/metrics` says of requests by version."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.command_line import lorarack
from tests.json_schemas import hold
from tests.system.server import KEY, Server
from tests.system.session_server import BASE

pytestmark = [pytest.mark.system, pytest.mark.torch]


def by_version(server: Server, name: str, version: str) -> float:
    families = text_string_to_metric_families(server.client.get("/metrics").text)
    samples = [one for family in families for one in family.samples if one.name == name]
    return sum(one.value for one in samples if one.labels.get("version") == version)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["strong@1", BASE])
def test_requests_tokens_and_latencies_by_version(server: Server, model: str, stream: bool) -> None:
    """Also of streams that do not ask for their usage, as most clients' do not."""
    names = (
        "lorarack_requests_total", "lorarack_generation_tokens_total", "lorarack_time_to_first_token_seconds_count",
        "lorarack_inter_token_latency_seconds_count",
    )  # fmt: skip
    before = [by_version(server, name, model) for name in names]
    body = {"model": model, "prompt": "One two three", "max_tokens": 6, "ignore_eos": True, "stream": stream}
    assert server.post("/v1/completions", **body).status_code == 200
    after = [by_version(server, name, model) for name in names]
    assert [late - early for late, early in zip(after, before, strict=True)] == [1, 6, 1, 1]
    assert by_version(server, "lorarack_time_to_first_token_seconds_sum", model) > 0


def test_what_is_loaded_under_the_names_of_llmd(server: Server) -> None:
    server.complete("strong@1", "One", max_tokens=1)
    text = server.client.get("/metrics").text
    found = [line for line in text.splitlines() if line.startswith('vllm:lora_adapter_loaded{adapter_name="strong@1"')]
    assert len(found) == 1
    assert 'level="gpu"' in found[0]
    assert f'model_name="{BASE}"' in found[0]
    assert 'vllm:max_gpu_lora_adapters{model_name="smol"} 3.0' in text


def test_top_shows_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one JSON object, and as a table; without the key it says what is missing."""
    server.complete("strong@1", "One", max_tokens=3)
    monkeypatch.setenv("LORARACK_URL", server.url)
    monkeypatch.setenv("LORARACK_TOKEN", KEY)
    found = lorarack("top", "--json").json()
    hold("top", found)
    assert (found["base"], found["ready"], found["capacity"]) == (BASE, True, 4)
    (strong,) = [one for one in found["versions"] if one["reference"] == "strong@1"]
    assert (strong["state"], strong["version"], strong["rank"]) == ("ready", 1, 8)
    assert strong["requests"] >= 1
    assert strong["tokens"] >= 3
    assert strong["first_token"] > 0
    table = lorarack("top", "--once").out
    assert "strong@1" in table
    monkeypatch.setenv("LORARACK_TOKEN", "wrong")
    assert "LORARACK_TOKEN is not one of its keys" in lorarack("top", "--json").err
