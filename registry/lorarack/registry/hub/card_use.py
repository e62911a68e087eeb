"""The lines of a model card that say how to use the adapter."""

import json

from lorarack.registry.artifact.manifest import CHAT_TEMPLATE
from lorarack.registry.hub.privacy import without_paths
from lorarack.registry.values import Base, Version

_PROMPT = "Write your prompt here."
#: The slot sizes that vLLM takes for ``--max-lora-rank``.
_SLOTS = (8, 16, 32, 64, 128, 256, 320, 512)


def use(version: Version, base: Base, repo_id: str, example_prompt: str | None) -> str:
    """How to use the adapter with PEFT, vLLM and lorarack."""
    name = version.adapter.rpartition("/")[2]
    prompt = json.dumps(without_paths(example_prompt or _PROMPT), ensure_ascii=False)
    revision = f", revision={base.hub_id.revision!r}" if base.hub_id and base.hub_id.revision else ""
    slot = next(size for size in _SLOTS if size >= version.rank)
    # A base that has no id on the Hub can only be named as whatever folder the reader has it in.
    where = base.hub_id.value if base.hub_id else f"path/to/{base.name}"
    add = where if base.hub_id else f"{where} --name {base.name}"
    template = any(file.name == CHAT_TEMPLATE for file in version.files)
    return f"""## How to use it

With PEFT:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({where!r}{revision})
base = AutoModelForCausalLM.from_pretrained({where!r}{revision})
model = PeftModel.from_pretrained(base, {repo_id!r})
inputs = tokenizer({prompt}, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0], skip_special_tokens=True))
```

With vLLM:

```sh
vllm serve {where} --enable-lora --max-lora-rank {slot} --lora-modules {name}={repo_id}
```

With lorarack, beside any number of other adapters on the same base:

```sh
lorarack base add {add}
lorarack pull {repo_id} {name}
lorarack serve {base.public_id}
lorarack ask {name} "{_PROMPT}"
```{_about_template() if template else ""}"""


def _about_template() -> str:
    return (
        f"\n\nIt was trained with a chat template of its own, `{CHAT_TEMPLATE}`: "
        "give it to the tokenizer (PEFT) or with `--chat-template` (vLLM) when you send messages."
    )
