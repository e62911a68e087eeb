"""The KV cache's default: a share of what weights and processes leave, one request at least, no more than can be used."""

from dataclasses import replace

import pytest

from lorarack.registry.errors import EngineError
from lorarack.server.kv_cache import SHARE, EngineSize, check_memory, default_cache

GIB, MIB = 2**30, 2**20
#: SmolLM2-135M: 23,040 bytes a token, 181 MiB for one request of full length.
SMOL = EngineSize(weight_bytes=269 * 10**6, token_bytes=23040, max_model_len=8192, max_num_seqs=128)
#: Llama-3.2-1B: one request of full length takes 4 GiB.
LLAMA = EngineSize(weight_bytes=2472 * 10**6, token_bytes=32768, max_model_len=131072, max_num_seqs=128)


def test_a_share_of_what_is_left() -> None:
    free = 21 * GIB
    assert default_cache(SMOL, free) == (free - SMOL.besides_cache) // SHARE
    assert 2 * GIB < default_cache(SMOL, free) < 3 * GIB


def test_two_servers_that_start_together_fit() -> None:
    """Each sees all memory as free."""
    free = 8 * GIB
    assert 2 * (SMOL.besides_cache + default_cache(SMOL, free)) < free


@pytest.mark.parametrize("free", [7 * GIB, 9 * GIB, 21 * GIB])
def test_one_request_of_full_length_always_fits(free: int) -> None:
    """vLLM refuses to start otherwise. It keeps one block empty."""
    if free == 7 * GIB:
        with pytest.raises(EngineError, match=r"131072 tokens.*4\.0 GiB.*--max-model-len \d+ or less"):
            default_cache(LLAMA, free)
    else:
        assert default_cache(LLAMA, free) == max((131072 + 128) * 32768, (free - LLAMA.besides_cache) // SHARE)


def test_the_length_that_is_named_fits() -> None:
    with pytest.raises(EngineError) as refused:
        default_cache(LLAMA, 7 * GIB)
    named = int(refused.value.message.partition("--max-model-len ")[2].split()[0])
    default_cache(replace(LLAMA, max_model_len=named), 7 * GIB)
    assert named > 64_000


def test_no_more_than_can_be_used() -> None:
    few = replace(SMOL, max_model_len=512, max_num_seqs=4)
    assert default_cache(few, 500 * GIB) == (4 * 512 + 128) * 23040


def test_a_length_within_a_block_takes_the_block() -> None:
    assert replace(SMOL, max_model_len=100).cache_bytes(2) == 3 * 128 * 23040


def test_models_whose_layers_differ_get_the_share() -> None:
    other = replace(SMOL, token_bytes=None)
    assert default_cache(other, 21 * GIB) == (21 * GIB - SMOL.besides_cache) // SHARE


def test_workers_and_engines_count() -> None:
    """Workers share weights and cache; engines do not; each is a process."""
    assert replace(SMOL, workers=2).besides_cache == SMOL.besides_cache + 700 * MIB
    double = replace(SMOL, engines=2)
    assert double.besides_cache == SMOL.besides_cache + SMOL.weight_bytes + 700 * MIB
    tight = double.besides_cache + 400 * MIB
    assert default_cache(double, tight) == 2 * (8192 + 128) * 23040


@pytest.mark.parametrize("free", [0, GIB, 2 * GIB])
def test_no_room_at_all_is_said(free: int) -> None:
    with pytest.raises(EngineError, match=r"free some memory") as refused:
        check_memory(SMOL, default_cache(SMOL, free), free)
    assert refused.value.code == "no_memory"


def test_the_check_counts_the_cache() -> None:
    check_memory(SMOL, 4 * GIB, 7 * GIB)
    with pytest.raises(
        EngineError, match=r"needs about 7\.3 GiB.*KV cache 5\.0 GiB.*7\.0 GiB are free.*smaller --kv-cache"
    ):
        check_memory(SMOL, 5 * GIB, 7 * GIB)
