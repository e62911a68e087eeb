"""Hard limits that hold before anything is read whole. Generous for any real adapter, small enough that no input hurts.

Each is about twice what the largest published files need (Gemma's tokenizer.json 33 MB; 72,000 tensors of an adapter on all
experts of a 235B model, 11 MB of header). Where JSON is parsed, the number of its containers and entries is bounded too
(``strict_json``), so that no file takes more memory than about fifteen times its limit.
"""

MAX_CONFIG_BYTES = 4 * 2**20
MAX_TEMPLATE_BYTES = 2**20
MAX_DEFAULTS_BYTES = 2**19
MAX_TRAINER_STATE_BYTES = 32 * 2**20
MAX_TOKENIZER_BYTES = 64 * 2**20
MAX_WEIGHT_BYTES = 32 * 2**30
MAX_HEADER_BYTES = 24 * 2**20
MAX_TENSORS = 200_000
MAX_FILES = 10_000
#: vLLM's largest slot (``max_lora_rank``); a larger rank can be served by no engine.
MAX_RANK = 512
#: Seconds that matching one pattern of a configuration may take.
PATTERN_SECONDS = 0.05
#: Seconds that matching all of an adapter's patterns may take.
PATTERNS_SECONDS = 5.0
MAX_PATTERNS = 5_000
#: What a module's B·A may be multiplied by: lora_alpha / rank, with rsLoRA lora_alpha / sqrt(rank). Usual are 0.5 to 64.
MAX_SCALING = 1024.0
#: The largest number of float16, the narrowest type that an engine computes in.
MAX_NUMBER = 65504.0
#: Root mean square of a module's delta weight. That of trained base weights is 0.01 to 0.2.
MAX_DELTA_RMS = 10.0
#: Characters of one pattern; one that names each module of a model by its full name would have its own key for each.
MAX_PATTERN_CHARS = 20_000
