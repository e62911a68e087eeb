"""Variables and flags of vLLM that would bypass this server's promises with other routes, frontends or models: refused by name.

A server promises that every answer comes through the key check and the resolver, from the base whose fingerprint it carries.
`tests/server/test_refused_flags.py` reads the pinned vLLM's source and fails when it has a switch that is in no list.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lorarack.registry.errors import UsageError

_NO_KEYS = "it starts a frontend that knows neither this server's keys nor its versions"
_ROUTES = "it adds routes that load, run or change things past this server's versions"
_CODE = "it has vLLM run code of its own before or instead of this server's routes"
_OTHER = "the engine would compute another model than the base that every answer names"
_UNKNOWN_NAMES = "an unknown name would be answered by the base model"
_FROM_REGISTRY = "adapters come from the registry: publish the folders"

#: Variables, each with the reason. They count when they are set to anything but a form of "no".
VARIABLES: Mapping[str, str] = {
    "VLLM_USE_RUST_FRONTEND": _NO_KEYS,
    "VLLM_SERVER_DEV_MODE": _ROUTES,
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": _ROUTES,
    "VLLM_ENABLE_COHERE_API": _ROUTES,
    "VLLM_SKIP_MODEL_NAME_VALIDATION": _UNKNOWN_NAMES,
    "VLLM_LORA_RESOLVER_CACHE_DIR": _FROM_REGISTRY,
    "VLLM_LORA_RESOLVER_HF_REPO_LIST": _FROM_REGISTRY,
    "VLLM_MODEL_REDIRECT_PATH": _OTHER,
    "VLLM_TEST_FORCE_LOAD_FORMAT": _OTHER,
    "VLLM_USE_MODELSCOPE": _OTHER,
    "CUSTOM_SCRIPT_FILENAME": _CODE,
    "SAGEMAKER_MODEL_PATH": _CODE,
    "CUSTOM_FASTAPI_PING_HANDLER": _CODE,
    "CUSTOM_FASTAPI_INVOCATION_HANDLER": _CODE,
    "CUSTOM_FASTAPI_MIDDLEWARE_THROTTLE": _CODE,
    "CUSTOM_FASTAPI_MIDDLEWARE_PRE_POST_PROCESS": _CODE,
    "CUSTOM_PRE_PROCESS": _CODE,
    "CUSTOM_POST_PROCESS": _CODE,
    "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": _ROUTES,
}

#: Flags by the name that vLLM's parser gives them, each with the reason. They count when their value is not the parser's default.
FLAGS: Mapping[str, str] = {
    "headless": "it starts no HTTP server, and that is what `lorarack serve` is",
    "grpc": _NO_KEYS,
    "grpc_port": _NO_KEYS,
    "data_parallel_multi_port_external_lb": _NO_KEYS,
    "middleware": _CODE,
    "profiler_config": "it adds routes by which any client starts a profiler that slows down everybody",
    "enable_scale_out": _ROUTES,
    "tokens_only": _ROUTES,
    "enable_fault_tolerance": _ROUTES,
    "lora_modules": _FROM_REGISTRY,
    "default_mm_loras": _FROM_REGISTRY,
    "hf_overrides": _OTHER,
    "hf_config_path": _OTHER,
    "model_class_overrides": _OTHER,
    "tokenizer": _OTHER,
    "tokenizer_revision": _OTHER,
    "code_revision": _OTHER,
}

_OFF = frozenset({"", "0", "false", "no", "off", "none"})
#: Code that vLLM's SageMaker support loads because it is there, without being asked to.
SAGEMAKER_SCRIPT = Path("/", "opt", "ml", "model", "model.py")


def check_variables(
    environ: Mapping[str, str], endpoint_plugins: Collection[str], script: Path = SAGEMAKER_SCRIPT
) -> None:
    """Check that the environment does not bypass the server's routes.

    Args:
        environ: the environment.
        endpoint_plugins: names of plugins that add routes to vLLM, without ours.
        script: where vLLM looks for SageMaker code.

    Raises:
        UsageError: it does not; the sentence names the variable and why.
    """
    for name, reason in VARIABLES.items():
        if environ.get(name, "").strip().lower() not in _OFF:
            raise UsageError(f"{name} is set: {reason}. Unset it.", code="bad_variable")
    for plugin in environ.get("VLLM_PLUGINS", "").split(","):
        if plugin.strip() in endpoint_plugins:
            raise UsageError(
                f"VLLM_PLUGINS names {plugin.strip()!r}: it adds routes past this server's. Leave it out.",
                code="bad_variable",
            )
    if script.is_file():
        raise UsageError(
            f"{script} is there: {_CODE.replace('it has', 'it would have')}. Move it away.", code="bad_variable"
        )


def check_flags(args: Any, defaults: Mapping[str, Any], model: str, revision: str | None = None) -> None:
    """Check that the flags do not bypass the server's routes or its base.

    Args:
        args: what vLLM's parser made of them.
        defaults: what it makes of none.
        model: what is to be served.
        revision: at which commit, where it comes from the Hub.

    Raises:
        UsageError: they do not; the sentence names the flag and why.
    """
    for name, reason in FLAGS.items():
        given = getattr(args, name, None)
        if given and given != defaults.get(name):
            raise UsageError(f"--{name.replace('_', '-')} is refused: {reason}.", code="bad_flag")
    if args.api_server_count is not None and args.api_server_count < 1:
        raise UsageError("--api-server-count wants at least one API server.", code="bad_flag")
    if args.model_tag != model or args.model not in (model, defaults.get("model")):
        raise UsageError(f"--model is refused: {_OTHER}.", code="bad_flag")
    if args.revision != revision:
        raise UsageError(f"--revision is refused: {_OTHER}.", code="bad_flag")
    if str(args.load_format).lower() == "dummy":
        raise UsageError(f"--load-format dummy is refused: {_OTHER}.", code="bad_flag")
