"""What a start will do, as a value. Planning does nothing and reads nothing but its arguments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorarack.registry import Base, Snapshot, Version
from lorarack.registry.errors import EngineError
from lorarack.server.cpu.backend import Backend, choose_backend
from lorarack.server.defaults import Default, engine_defaults, environment_defaults
from lorarack.server.machine import OURS, Machine
from lorarack.server.settings import VARIABLE, AdmissionLimits, CpuLora, ServingSettings

#: Where torch, Triton and vLLM keep what they compiled; some of it is pickled, all of it runs. By default the first is in ``/tmp``.
COMPILED = {"TORCHINDUCTOR_CACHE_DIR": "torchinductor", "TRITON_CACHE_DIR": "triton", "VLLM_CACHE_ROOT": "vllm"}


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the user asks of a server.

    Attributes:
        flags: any vLLM flags.
        host: address to listen on; None: what ``flags`` (a vLLM config file) say, else loopback only.
        port: likewise, else 8000.
        cpu_lora: how LoRA is computed where the engine runs on a CPU.
        close_metrics: whether ``/metrics`` wants a key too.
        admission: how much is let into the engine.
        pins: references whose versions are loaded before the server is ready, and stay loaded.
    """

    flags: Sequence[str] = ()
    host: str | None = None
    port: int | None = None
    cpu_lora: CpuLora = CpuLora.KERNEL
    close_metrics: bool = False
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    pins: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """What is served, and how.

    Attributes:
        base: what to serve adapters over.
        source: what vLLM loads for it: a folder or a Hub id, then flags.
        options: what the user asks for.
        originals: fingerprints of the bases that this one is a copy of, whose versions it serves too.
        has_keys: whether the registry has a key that opens something.
    """

    base: Base
    source: tuple[str, ...]
    options: ServeOptions = field(default_factory=ServeOptions)
    originals: tuple[str, ...] = ()
    has_keys: bool = False


@dataclass(frozen=True, slots=True)
class ServerPaths:
    """Folders of one server, and its process.

    Attributes:
        registry: where the registry is.
        adapters: verified local copies of adapters.
        scratch: the server's own while it runs, gone afterwards.
        launcher: the process of `lorarack serve`.
    """

    registry: Path
    adapters: Path
    scratch: Path
    launcher: int


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """One start of a server.

    Attributes:
        base: what is served.
        engine_args: vLLM's arguments: what it loads, then flags.
        defaults: vLLM's settings that hold where no flag says otherwise.
        settings: what the server's processes are told.
        environment: variables to set before vLLM is imported; None: to remove.
        plugins: vLLM's plugins that may load.
        backend: what computes LoRA; None on a GPU, where vLLM does.
        prespawn: file that a prespawned engine's environment is remembered in; None: none is prespawned.
        notes: what the user is told first.
        has_keys: whether the registry has a key that opens something.
    """

    base: Base
    engine_args: tuple[str, ...]
    defaults: tuple[Default, ...]
    settings: ServingSettings
    environment: Mapping[str, str | None] = field(repr=False)
    plugins: tuple[str, ...]
    backend: Backend | None
    prespawn: Path | None
    notes: tuple[str, ...]
    has_keys: bool = False

    @property
    def revision(self) -> str | None:
        """The commit at which a base is loaded from the Hub; None: from a folder."""
        flag = "--revision="
        return next((word.removeprefix(flag) for word in self.engine_args[1:2] if word.startswith(flag)), None)

    @property
    def kernel(self) -> Path | None:
        """The compiled LoRA kernel, there or to be made; None: none is used."""
        return self.backend.kernel if self.backend else None

    def with_backend(self, backend: Backend) -> "LaunchPlan":
        """The same start with LoRA computed otherwise."""
        kernel = str(backend.kernel) if backend.kernel else None
        settings = self.settings.model_copy(update={"cpu_lora": backend.choice, "kernel": kernel})
        environment = {**self.environment, VARIABLE: settings.model_dump_json()}
        return replace(self, backend=backend, settings=settings, environment=environment)


def wanted_versions(snapshot: Snapshot, pins: Iterable[str], recent: Collection[str]) -> frozenset[str]:
    """References of the versions that aliases and ``pins`` name, and of those whose digest was used lately.

    Raises:
        BadReference: a pin is no reference.
        NotFound: it names nothing.
        Conflict: what it names is archived or quarantined.
    """
    named = {f"{view.name}@{number}" for view in snapshot.adapters.values() for number in view.aliases.values()}
    used = {version.reference for version in snapshot.versions if version.digest in recent}
    return frozenset({*named, *used, *(snapshot.resolve(pin).reference for pin in pins)})


def plan_launch(
    request: ServeRequest,
    places: ServerPaths,
    machine: Machine,
    versions: Iterable[Version],
    wanted: Collection[str] | None = None,
) -> LaunchPlan:
    """How a server for ``request`` starts on ``machine`` over a registry that holds ``versions``.

    The slots' rank follows ``wanted`` among them (`wanted_versions`); None: all.
    """
    base, cpu = request.base, machine.vllm.cpu
    backend = choose_backend(request.options.cpu_lora, machine.vllm, machine.kernel) if cpu else None
    settings = ServingSettings(
        registry=str(places.registry),
        base=base.name,
        fingerprint=base.fingerprint,
        originals=request.originals,
        close_metrics=request.options.close_metrics,
        admission=request.options.admission,
        pins=tuple(request.options.pins),
        cache=str(places.adapters),
        errors=str(places.scratch),
        launcher=places.launcher,
    )
    plugins = _plugins(machine)
    plan = LaunchPlan(
        base=base,
        engine_args=(*request.source, *_address(request.options), *request.options.flags),
        defaults=engine_defaults(base.fingerprint, versions, request.originals, cpu=cpu, wanted=wanted),
        settings=settings,
        environment=_environment(machine, settings, plugins, places.scratch, backend),
        plugins=plugins,
        backend=backend,
        prespawn=_prespawn(machine),
        notes=_notes(machine, backend),
        has_keys=request.has_keys,
    )
    return plan.with_backend(backend) if backend else plan


def _address(options: ServeOptions) -> list[str]:
    host = [f"--host={options.host}"] if options.host is not None else []
    return host + ([f"--port={options.port}"] if options.port is not None else [])


def _plugins(machine: Machine) -> tuple[str, ...]:
    """What was admitted, with ours. The variable filters all groups; unset it admits all but endpoint plugins."""
    given = machine.environ.get("VLLM_PLUGINS")
    names = machine.plugins if given is None else filter(None, given.split(","))
    return tuple(dict.fromkeys([*names, *OURS]))


def _environment(
    machine: Machine, settings: ServingSettings, plugins: Iterable[str], scratch: Path, backend: Backend | None
) -> dict[str, str | None]:
    kept = scratch if isinstance(machine.cache, EngineError) else machine.cache
    chosen: dict[str, str | None] = {
        name: str(kept / folder) for name, folder in COMPILED.items() if name not in machine.environ
    }
    if backend:
        chosen |= environment_defaults(machine.cores, backend.choice, machine.environ)
        if machine.environ.get("VLLM_TARGET_DEVICE") == "cpu":
            chosen["VLLM_TARGET_DEVICE"] = None  # says what the build says, and keeps vLLM from asking for our platform
    return {
        **chosen,
        "VLLM_COMPUTE_NANS_IN_LOGITS": "1",  # has `vllm/nonfinite.py` asked in every step; off by default
        "VLLM_PLUGINS": ",".join(plugins),
        VARIABLE: settings.model_dump_json(),
    }


def _prespawn(machine: Machine) -> Path | None:
    """Only with a vLLM whose way of starting its engine is known, and only on a CPU."""
    if isinstance(machine.cache, EngineError) or not (machine.vllm.cpu and machine.vllm.tested):
        return None
    return machine.cache / "engine.json"


def _notes(machine: Machine, backend: Backend | None) -> tuple[str, ...]:
    notes = [backend.note] if backend and backend.note else []
    if isinstance(machine.cache, EngineError):
        notes.append(f"What is compiled is not kept for the next start: {machine.cache}")
    return tuple(notes)
