"""vLLM's endpoint plugin: puts the middlewares and our routes on its app, and starts what they need."""

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from starlette.middleware.cors import CORSMiddleware

from lorarack.registry import Registry, open_registry
from lorarack.registry.registry import CATALOG
from lorarack.server.adapter_image import Packer
from lorarack.server.app_state import AppState
from lorarack.server.background import repeat
from lorarack.server.experiment_recorder import ExperimentRecorder
from lorarack.server.file_watch import FileWatch
from lorarack.server.http.api_key import ApiKeyMiddleware
from lorarack.server.http.asgi import App
from lorarack.server.http.feedback import make_feedback_router
from lorarack.server.http.model_resolver import ModelResolverMiddleware
from lorarack.server.http.routes import make_router
from lorarack.server.key_ring import KeyRing
from lorarack.server.leases import Leases, holder_name
from lorarack.server.limits import Limits
from lorarack.server.local_cache import LocalCache
from lorarack.server.metrics import RequestMetrics
from lorarack.server.open_requests import OpenRequests
from lorarack.server.policies.admit import Admit
from lorarack.server.process.shutdown_log_filter import ENGINE
from lorarack.server.proof import ServingRecords
from lorarack.server.reference_resolver import ReferenceResolver
from lorarack.server.residency import Residency
from lorarack.server.residency_metrics import ResidencyMetrics
from lorarack.server.settings import ServingSettings
from lorarack.server.shadows import Room, Shadows
from lorarack.server.spans import start_tracing
from lorarack.server.version_defaults import DefaultsReader
from lorarack.server.vllm.drain import drain_before_shutdown
from lorarack.server.warm_set import KEEP_SECONDS, WarmSet

if TYPE_CHECKING:
    from lorarack.server.vllm.load_probe import LoadProbe

log = logging.getLogger(__name__)

#: Of adapters that are not loaded any more and may be again. They lie in the disk's cache or on the disk.
_KEEP_BYTES = 2**31


def create() -> "LorarackEndpoints":
    """What vLLM calls when `VLLM_PLUGINS` names us. Does nothing unless `lorarack serve` started the process."""
    return LorarackEndpoints(ServingSettings.from_environment())


class LorarackEndpoints:
    """One API process.

    vLLM calls ``attach_router`` before it adds its own middlewares, so the resolver lies inside them, and ``init_state`` after
    that, when the key check is put around everything.
    """

    name = "lorarack_http"
    required_tasks = None

    def __init__(self, settings: ServingSettings | None) -> None:
        self._settings = settings
        self._app: Any = None
        self._state: AppState | None = None
        self._models: Any = None
        #: The event loop keeps weak references only.
        self._tasks: list[asyncio.Task[None]] = []

    def attach_router(self, app: Any) -> None:
        """Add routes and middlewares to vLLM's FastAPI app."""
        if self._settings is None:
            return
        _log_like_vllm()
        self._app = app
        app.include_router(make_router(lambda: self._state, self._base_cards))
        app.include_router(make_feedback_router(lambda: self._state))
        app.add_middleware(ModelResolverMiddleware, state=self._running)

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Open the registry and begin to follow it. Requests come after this has returned.

        Raises:
            StoreError: the registry cannot be read.
            EngineError: the engine cannot serve adapters.
        """
        if self._settings is None or engine_client is None:
            return
        from lorarack.server.vllm.chat_template import render_with_own_template
        from lorarack.server.vllm.engine import VllmEngine, layout_of, limits_of, rows_of
        from lorarack.server.vllm.generations import waiting_and_running, watch_generate
        from lorarack.server.vllm.shadow_engine import VllmShadowEngine
        from lorarack.server.vllm.speed_measurement import keep_engine_speed

        ENGINE.watch(engine_client)
        if args.otlp_traces_endpoint:
            start_tracing()
        self._models = state.openai_serving_models
        registry = open_registry(self._settings.registry)
        base_names = frozenset(path.name for path in self._models.base_model_paths)
        resolver = ReferenceResolver(registry, base_names=tuple(base_names))
        await resolver.refresh()
        engine = VllmEngine(engine_client, self._models)
        metrics = RequestMetrics()
        layout = await layout_of(engine_client, state.vllm_config)
        limits = limits_of(state.vllm_config, self._settings.base, self._settings.fingerprint, self._settings.originals)
        lora = state.vllm_config.lora_config
        alone = (args.api_server_count or 1) == 1
        generates = "generate" in await engine_client.get_supported_tasks()
        vocabulary = state.vllm_config.model_config.get_vocab_size()
        residency = Residency(
            engine,
            LocalCache(
                Path(self._settings.cache), registry, Packer(layout) if layout else None, keep_bytes=_KEEP_BYTES
            ).open_copy,
            limits,
            # With several API processes none knows what the others' requests need: the engine alone evicts.
            capacity=lora.max_cpu_loras if alone else None,
            probe=self._load_probe(engine_client, registry, limits, vocabulary) if generates else None,
            observer=metrics.residency_observer,
        )
        warm_set = WarmSet(residency, self._settings.pins, lora.max_cpu_loras, lets_go=alone)
        # Warm-up may leave dummy adapters. With several API processes they stay until others need their room: what is there may be
        # what another process has loaded.
        for engine_id in await engine.list() if alone else ():
            await engine.unload(engine_id)
        if generates and alone and layout is not None:
            await keep_engine_speed(engine, engine_client, state, args, layout, self._settings)
        self._begin(resolver, warm_set, Leases(registry, holder_name(args.port), lambda: residency.loaded))
        keys = [key for key in (args.api_key or [os.environ.get("VLLM_API_KEY")]) if key]
        ring = KeyRing(keys, lambda: resolver.snapshot.keys)
        # Around everything: `add_middleware` would come too late, since SageMaker's part has the stack built by now.
        inner = self._app.middleware_stack or self._app.build_middleware_stack()
        self._app.middleware_stack = ApiKeyMiddleware(
            inner, ring, close_metrics=self._settings.close_metrics, with_cors=cors_of(args)
        )
        rows, opened = rows_of(state.vllm_config, args.api_server_count), OpenRequests()
        admit = Admit.within(self._settings.admission, rows)
        shadows = None
        if generates:
            room = Room(rows, lora.max_loras, lambda: admit.running)
            shadows = Shadows(VllmShadowEngine(engine_client, self._models), residency, room, lambda: opened.draining)
        experiments = ExperimentRecorder(registry.experiments, resolver.refresh, shadows)
        self._tasks.append(asyncio.create_task(experiments.keep()))
        ready = AppState.build(
            base_names,
            resolver,
            residency,
            lambda: bool(engine_client.errored),
            admit,
            warm_set,
            (metrics.observer,),
            experiments,
            DefaultsReader(registry),
            shadows,
            opened,
        )
        if alone:  # another process's table cannot be read
            queues = functools.partial(waiting_and_running, engine_client)
            REGISTRY.register(ResidencyMetrics(residency, metrics.label, queues, lora.max_loras))
        drain_before_shutdown(engine_client, opened)
        watch_generate(engine_client, residency.request_failed)
        render_with_own_template(engine_client.renderer)
        self._state = ready

    def _load_probe(self, engine_client: Any, registry: Registry, limits: Limits, vocabulary: int) -> "LoadProbe":
        """What looks at a version once it is loaded; before `generate` is watched, so it takes part in no count."""
        import vllm

        from lorarack.server.vllm.effect_probe import EffectProbe
        from lorarack.server.vllm.load_probe import LoadProbe
        from lorarack.server.vllm.parity_probe import ParityProbe

        dtype = limits.dtype or "unknown"
        records = ServingRecords(registry, vllm.__version__, dtype, limits.fingerprint)
        parity = ParityProbe(engine_client.generate, self._models, records, dtype, limits.fingerprint)
        return LoadProbe(EffectProbe(engine_client, self._models, vocabulary), parity, records)

    def _begin(self, resolver: ReferenceResolver, warm_set: WarmSet, leases: Leases) -> None:
        """Start what runs as long as the server."""
        resolver.prepare_with(warm_set.prepare)
        self._tasks = [
            warm_set.start(resolver.snapshot),
            asyncio.create_task(resolver.follow(warm_set.follow, wait=_watch(self._settings))),
            asyncio.create_task(leases.keep()),
            asyncio.create_task(
                repeat("Pins cannot be loaded", lambda: warm_set.keep(resolver.snapshot), KEEP_SECONDS)
            ),
        ]

    def _running(self) -> AppState:
        if self._state is None:
            raise RuntimeError("a request came before the server was ready")
        return self._state

    async def _base_cards(self) -> list[dict[str, Any]]:
        return [card.model_dump() for card in (await self._models.registry.show_available_models()).data]


def cors_of(args: Any) -> Callable[[App], App]:
    """What puts the CORS of vLLM's flags around an app, as vLLM does around its routes."""
    return functools.partial(
        CORSMiddleware,
        allow_origins=args.allowed_origins,
        allow_credentials=args.allow_credentials,
        allow_methods=args.allowed_methods,
        allow_headers=args.allowed_headers,
    )


def _watch(settings: ServingSettings | None) -> Callable[[float], Awaitable[None]]:
    """What waits for changes of the registry."""
    folder = Path(settings.registry if settings else "")
    try:
        return FileWatch(folder / CATALOG).wait
    except OSError as error:
        log.info("Changes of the registry are looked for, not heard of: %s.", error)
        return asyncio.sleep


def _log_like_vllm() -> None:
    """Give our loggers vLLM's handlers and level: the processes here are vLLM's."""
    theirs, ours = logging.getLogger("vllm"), logging.getLogger("lorarack")
    ours.handlers, ours.propagate = list(theirs.handlers), False
    ours.setLevel(theirs.level)
