"""What would put routes, frontends or another model beside a server's promises is refused by name; none is unjudged."""

import ast
import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorarack.registry.errors import UsageError
from lorarack.server.refused_flags import FLAGS, VARIABLES, check_flags, check_variables

NOWHERE = Path("/nowhere")

#: Read where vLLM builds its HTTP servers, and judged: they change neither which routes there are nor who answers.
HARMLESS_VARIABLES = frozenset(
    """
    EXA_API_KEY LOG_LEVEL OPENAI_API_KEY PROCESS_AUTO_RECOVERY SAGEMAKER_CONTAINER_LOG_LEVEL SUPERVISOR_CONFIG_PATH
    VLLM_API_KEY VLLM_CPU_KVCACHE_SPACE VLLM_DEBUG_LOG_API_SERVER_RESPONSE VLLM_DISABLE_LOG_LOGO
    VLLM_ENABLE_RESPONSES_API_STORE VLLM_GPT_OSS_HARMONY_SYSTEM_INSTRUCTIONS VLLM_GPT_OSS_SYSTEM_TOOL_MCP_LABELS
    VLLM_HTTP_TIMEOUT_KEEP_ALIVE VLLM_KEEP_ALIVE_ON_ENGINE_DEATH VLLM_LOG_STATS_INTERVAL
    VLLM_MAX_AUDIO_CLIP_FILESIZE_MB VLLM_MAX_AUDIO_DECODE_BYTES VLLM_MAX_AUDIO_DECODE_DURATION_S
    VLLM_MAX_AUDIO_PREPROCESS_WORKERS VLLM_MAX_COMPLETION_PROMPTS VLLM_MAX_N_SEQUENCES VLLM_MAX_STOP_STRINGS
    VLLM_MEDIA_CONNECTOR VLLM_MEDIA_URL_ALLOW_REDIRECTS VLLM_PLUGINS VLLM_RUST_FRONTEND_PATH VLLM_SYSTEM_START_DATE
    VLLM_TOOL_JSON_ERROR_AUTOMATIC_RETRY VLLM_USE_EXPERIMENTAL_PARSER_CONTEXT VLLM_USE_RUST_BENCH
    VLLM_VIDEO_FETCH_TIMEOUT VLLM_WORKER_MULTIPROC_METHOD
    """.split()  # noqa: SIM905 - one name a word, not a quote
)
HARMLESS_FLAGS = frozenset(
    """
    allow_credentials allowed_headers allowed_media_domains allowed_methods allowed_origins
    anthropic_disabled_thinking_effort api_key api_server_count chat_template chat_template_content_format
    cohere_format cohere_is_reasoning_model config data_parallel_external_lb data_parallel_hybrid_lb
    data_parallel_rank data_parallel_size data_parallel_size_local data_parallel_start_rank
    data_parallel_supervisor_port default_chat_template_kwargs device_ids disable_access_log_for_endpoints
    disable_fastapi_docs disable_log_stats disable_uvicorn_access_log dp_supervisor_probe_failure_threshold
    dp_supervisor_probe_interval_s dp_supervisor_probe_timeout_s enable_auto_tool_choice
    enable_flash_late_interaction enable_force_include_usage enable_log_deltas enable_log_outputs
    enable_log_requests enable_metrics enable_offline_docs enable_per_request_metrics enable_prompt_tokens_details
    enable_request_id_headers enable_server_load_tracking enable_ssl_refresh enable_tokenizer_info_endpoint
    exclude_tools_when_tool_choice_none fingerprint_mode fingerprint_value h11_max_header_count
    h11_max_incomplete_event_size host input_file items log_config_file log_error_stack logging_config max_log_len
    model model_tag node_rank output_file output_tmp_dir pipeline_parallel_size port reasoning_parser
    reasoning_parser_plugin response_role return_tokens_as_token_ids root_path served_model_name shutdown_timeout
    sse_keep_alive_interval ssl_ca_certs ssl_cert_reqs ssl_certfile ssl_ciphers ssl_keyfile
    structured_outputs_config subparser tensor_parallel_size tool_call_parser tool_parser_plugin tool_server
    tool_strict_level trust_request_chat_template trust_request_mm_kwargs uds url uvicorn_log_level
    """.split()  # noqa: SIM905 - one name a word, not a quote
)


def trees(package: str, *folders: str) -> Iterator[ast.Module]:
    found = find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    for folder in folders or (".",):
        for path in sorted((Path(found.submodule_search_locations[0]) / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def variables_of(node: ast.AST) -> Iterator[str]:
    """Names of environment variables that are read here."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "envs" and node.attr.isupper():
        yield node.attr
    if isinstance(node, ast.ClassDef) and node.name.endswith("EnvVars"):
        yield from (
            str(s.value.value) for s in node.body if isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant)
        )
    of = node.func if isinstance(node, ast.Call) else node.value if isinstance(node, ast.Subscript) else None
    if of is not None and ("environ" in ast.unparse(of) or "getenv" in ast.unparse(of)):
        name = node.args[0] if isinstance(node, ast.Call) and node.args else getattr(node, "slice", None)
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value


def flags_of(node: ast.AST) -> Iterator[str]:
    """Names of parsed flags that are read here."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("args", "app.state.args", "self.args"):
        yield node.attr
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) > 1:
        of, name = node.args[:2]
        if ast.unparse(of) in ("args", "app.state.args") and isinstance(name, ast.Constant):
            yield str(name.value)


@pytest.mark.torch
def test_every_variable_that_touches_the_http_servers_is_judged() -> None:
    """Of vLLM's entry points and plugins, and of the package by which it supports SageMaker."""
    sources = [*trees("vllm", "entrypoints", "plugins"), *trees("model_hosting_container_standards")]
    found = {name for tree in sources for node in ast.walk(tree) for name in variables_of(node)}
    assert {"VLLM_SERVER_DEV_MODE", "VLLM_USE_RUST_FRONTEND", "CUSTOM_PRE_PROCESS"} <= found, "they are found at all"
    assert found - VARIABLES.keys() - HARMLESS_VARIABLES == set(), "judge these: refused, or harmless"
    assert found >= HARMLESS_VARIABLES, "no longer read"


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_every_flag_that_touches_the_http_servers_is_judged() -> None:
    from vllm.entrypoints.launchers.cli_args import FrontendArgs

    found = {field.name for field in dataclasses.fields(FrontendArgs)}
    rooms = (
        "launchers",
        "serve",
        "generate",
        "pooling",
        "scale_out",
        "rl",
        "speech_to_text",
        "cohere",
        "openai",
        "mcp",
    )
    sources = trees("vllm", *(f"entrypoints/{room}" for room in (*rooms, "anthropic")))
    found |= {name for tree in sources for node in ast.walk(tree) for name in flags_of(node)}
    assert {"enable_scale_out", "middleware", "grpc"} <= found, "they are found at all"
    assert found - FLAGS.keys() - HARMLESS_FLAGS == set(), "judge these: refused, or harmless"


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["1", "true", "/somewhere", " on "])
def test_a_variable_is_refused_by_name_with_the_reason(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is set: .*Unset it") as refused:
        check_variables({name: value}, (), NOWHERE)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("value", ["", "0", "false", "False", " no "])
def test_one_that_says_no_is_not(value: str) -> None:
    check_variables(dict.fromkeys(VARIABLES, value), (), NOWHERE)


def test_other_makers_routes_are_refused(tmp_path: Path) -> None:
    """A plugin of vLLM's may replace a route; and SageMaker's support loads a file because it is there."""
    with pytest.raises(UsageError, match=r"VLLM_PLUGINS names 'theirs'"):
        check_variables({"VLLM_PLUGINS": "lorarack, theirs"}, {"theirs"}, NOWHERE)
    check_variables({"VLLM_PLUGINS": "lorarack,another"}, {"theirs"}, NOWHERE)
    (tmp_path / "model.py").touch()
    with pytest.raises(UsageError, match=r"model\.py is there"):
        check_variables({}, (), tmp_path / "model.py")


PLAIN: dict[str, Any] = {**dict.fromkeys(FLAGS), "model": "default", "middleware": [], "headless": False}


def args(**given: Any) -> Any:
    some = {"model_tag": "base", "api_server_count": None, "load_format": "auto", "revision": None}
    return SimpleNamespace(**{**PLAIN, **some, **given})


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_refused_by_name_with_the_reason(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is refused: "):
        check_flags(args(**{name: ["x"]}), PLAIN, "base")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api_server_count": 0}, "--api-server-count"),
        ({"model": "another"}, "--model is refused"),
        ({"model_tag": "another"}, "--model is refused"),
        ({"revision": "main"}, "--revision is refused"),
        ({"load_format": "dummy"}, "--load-format dummy"),
    ],
)
def test_what_serves_nothing_or_another_model_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_flags(args(**given), PLAIN, "base")


def test_everything_else_is_vllms() -> None:
    check_flags(args(), PLAIN, "base")
    check_flags(args(api_server_count=2, load_format="safetensors"), PLAIN, "base")
