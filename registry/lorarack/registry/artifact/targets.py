"""Which modules PEFT puts an adapter on when it loads a folder, by the rules of its ``check_target_module_exists``.

vLLM asks none of this: it applies every weight of the file. So a weight on a module that these rules leave out would be
served by vLLM and not be loaded by PEFT.
"""

from dataclasses import dataclass

from lorarack.registry.artifact.patterns import layer_number, matches_whole

#: What ``target_modules="all-linear"`` leaves out: embeddings, the output head, and a classifier in its place.
_NOT_LINEAR = frozenset({"embed_tokens", "wte", "embed_in", "lm_head", "embed_out", "score", "classifier"})

#: Modules whose adapters PEFT ties where ``ensure_weight_tying`` is set and the base ties them.
TIED = frozenset({"embed_tokens", "lm_head"})

#: Full names or last parts of names; or one regular expression.
Names = frozenset[str] | str


@dataclass(frozen=True, slots=True)
class Targets:
    """PEFT's rule; its methods raise ``ValueError`` where a pattern is none, or takes too long."""

    names: Names
    excluded: Names = frozenset()
    layers: frozenset[int] = frozenset()
    layer_names: tuple[str, ...] = ()
    tied: bool = False

    def takes(self, module: str) -> bool:
        """Whether PEFT would put the adapter on ``module``, a name in the base."""
        if self._takes(module):
            return True
        head, _, leaf = module.rpartition(".")
        if not self.tied or leaf not in TIED:
            return False
        return any(
            self._takes(name) for name in (*TIED, *(f"{place}.embed_tokens" for place in (head, "model") if place))
        )

    def _takes(self, module: str) -> bool:
        if self.excluded and _named(module, self.excluded):
            return False
        if isinstance(self.names, str):
            if self.names.lower() == "all-linear":
                return module.rpartition(".")[2] not in _NOT_LINEAR
            return matches_whole(self.names, module)
        if module in self.names:
            return True  # a full name counts whatever its layer is
        if not _named(module, self.names):
            return False
        return not self.layers or self._layer(module) in self.layers

    def _layer(self, module: str) -> int | None:
        found = (layer_number(name, module) for name in self.layer_names or (None,))
        return next((number for number in found if number is not None), None)


def _named(module: str, names: Names) -> bool:
    if isinstance(names, str):
        return matches_whole(names, module)
    parts = module.split(".")
    return any(".".join(parts[start:]) in names for start in range(len(parts)))
