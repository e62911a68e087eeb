"""The canonical manifest and the digest that names an artifact.

The digest covers the weight file's bytes and the configuration in canonical form, so two machines, two hash seeds, or a
trip to the Hub and back give one digest.
"""

import hashlib
import json

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
CHAT_TEMPLATE = "chat_template.jinja"


def sha256(data: bytes) -> str:
    """``sha256:`` and the 64 hexadecimal digits of ``data``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def artifact_digest(config_digest: str, weights_digest: str) -> str:
    """The digest of an artifact from the digests of its canonical configuration and of its weight file."""
    manifest = {"schema": 1, "files": {CONFIG: config_digest, WEIGHTS: weights_digest}}
    return sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())
