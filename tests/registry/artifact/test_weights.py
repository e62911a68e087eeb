"""Headers of safetensors files: what is not whole is refused, whatever the bytes."""

import io
import json
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import adapter_tensors, safetensors_bytes, write_safetensors

from lorarack.registry.artifact import weights as weights_module
from lorarack.registry.artifact.limits import MAX_HEADER_BYTES
from lorarack.registry.artifact.weights import DTYPE_BYTES, HeaderError, Tensor, read_header


def read(data: bytes) -> tuple[Tensor, ...]:
    return read_header(io.BytesIO(data), len(data))


def entry(dtype: object = "F32", shape: object = (2, 2), offsets: object = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


GOOD = safetensors_bytes({"a": entry()}, bytes(16))


def test_a_whole_file_gives_its_tensors_by_name(tmp_path: Any) -> None:
    """Names, dtypes, shapes and places are those that were written."""
    tensors = adapter_tensors(rank=3)
    data = write_safetensors(tmp_path / "a.safetensors", tensors).read_bytes()
    found = read(data)
    assert [tensor.name for tensor in found] == sorted(tensors)
    for tensor in found:
        array = tensors[tensor.name]
        assert (tensor.dtype, tensor.shape, tensor.size) == ("F32", array.shape, array.size)
        assert data[tensor.start : tensor.end] == array.tobytes()


def test_a_file_without_tensors_is_whole() -> None:
    assert read(safetensors_bytes({})) == ()
    assert read(safetensors_bytes({"__metadata__": {"format": "pt"}})) == ()


def test_a_scalar_and_an_empty_tensor_are_whole() -> None:
    data = safetensors_bytes({"e": entry(shape=[0, 5], offsets=[0, 0]), "s": entry(shape=[], offsets=[0, 4])}, bytes(4))
    assert [(tensor.name, tensor.size) for tensor in read(data)] == [("e", 0), ("s", 1)]


def test_spaces_behind_the_header_are_allowed() -> None:
    """Writers pad the header so that tensors start at a multiple of eight."""
    assert read(safetensors_bytes(json.dumps({"a": entry()}).encode() + b"      ", bytes(16)))


BROKEN = {
    "empty file": (b"", "too short"),
    "seven bytes": (b"\x00" * 7, "too short"),
    "header longer than the file": (struct.pack("<Q", 100) + b"{}", "claims 100 bytes"),
    "header over the limit": (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{}", "claims"),
    "header of 2^64 - 1": (struct.pack("<Q", 2**64 - 1) + b"{}", "claims"),
    "no JSON": (safetensors_bytes(b"{"), "not JSON"),
    "not UTF-8": (safetensors_bytes(b'{"\xff": 1}'), "not JSON"),
    "UTF-16": (safetensors_bytes("{}".encode("utf-16-le")), "not JSON"),
    "with a byte order mark": (safetensors_bytes(b"\xef\xbb\xbf{}"), "not JSON"),
    "nested a hundred thousand deep": (safetensors_bytes(b"[" * 100_000), "not JSON"),
    "a number of ten thousand digits": (safetensors_bytes(b'{"a":' + b"9" * 10_000 + b"}"), "not JSON"),
    "a list": (safetensors_bytes([]), "not a JSON object"),
    "null": (safetensors_bytes(None), "not a JSON object"),
    "metadata that is no table of texts": (safetensors_bytes({"__metadata__": {"a": 1}}), "metadata"),
    "an entry that is a number": (safetensors_bytes({"a": 3}), "malformed"),
    "no shape": (safetensors_bytes({"a": {"dtype": "F32", "data_offsets": [0, 4]}}), "malformed"),
    "shape that is a text": (safetensors_bytes({"a": entry(shape="2,2")}, bytes(16)), "malformed"),
    "one offset": (safetensors_bytes({"a": entry(offsets=[0])}, bytes(16)), "malformed"),
    "three offsets": (safetensors_bytes({"a": entry(offsets=[0, 8, 16])}, bytes(16)), "malformed"),
    "offsets that are fractions": (safetensors_bytes({"a": entry(offsets=[0.0, 16.0])}, bytes(16)), "malformed"),
    "offsets that are truths": (safetensors_bytes({"a": entry("U8", [1], [False, True])}, bytes(1)), "malformed"),
    "unknown dtype": (safetensors_bytes({"a": entry("F31")}, bytes(16)), "unknown dtype"),
    "negative side": (safetensors_bytes({"a": entry(shape=[-2, -2])}, bytes(16)), "impossible shape"),
    "a side that is a truth": (safetensors_bytes({"a": entry(shape=[True, 4])}, bytes(16)), "impossible shape"),
    "a side that is a fraction": (safetensors_bytes({"a": entry(shape=[2.0, 2])}, bytes(16)), "impossible shape"),
    "a side of 2^60": (safetensors_bytes({"a": entry(shape=[2**60])}, bytes(16)), "impossible shape"),
    "nine dimensions": (safetensors_bytes({"a": entry(shape=[1] * 9, offsets=[0, 4])}, bytes(4)), "impossible shape"),
    "offsets shorter than the shape": (safetensors_bytes({"a": entry(offsets=[0, 12])}, bytes(12)), "length"),
    "offsets backwards": (safetensors_bytes({"a": entry(offsets=[16, 0])}, bytes(16)), "length"),
    "negative offset": (safetensors_bytes({"a": entry(offsets=[-16, 0])}, bytes(16)), "length"),
    "a gap before": (safetensors_bytes({"a": entry(offsets=[4, 20])}, bytes(20)), "overlap or leave gaps"),
    "two on one place": (safetensors_bytes({"a": entry(), "b": entry()}, bytes(16)), "overlap or leave gaps"),
    "half over another": (
        safetensors_bytes({"a": entry(), "b": entry(offsets=[8, 24])}, bytes(24)),
        "overlap or leave gaps",
    ),
    "cut short": (GOOD[:-1], "cut short"),
    "bytes behind": (GOOD + b"\x00", "bytes behind"),
}


@pytest.mark.parametrize(("data", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_whole_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(HeaderError, match=said):
        read(data)


def test_too_many_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "MAX_TENSORS", 1)
    data = safetensors_bytes({"a": entry(), "b": entry(offsets=[16, 32])}, bytes(32))
    with pytest.raises(HeaderError, match="lists 2 tensors"):
        read(data)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BYTES, "X"]) | anything,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | anything,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | anything,
    }
)
headers = st.dictionaries(st.text(max_size=8) | st.just("__metadata__"), entries | anything, max_size=4) | anything


@given(headers, st.binary(max_size=40))
def test_a_random_header_is_read_or_refused(header: object, data: bytes) -> None:
    """Nothing but ``HeaderError`` comes out, and what is read covers the file exactly."""
    raw = safetensors_bytes(header, data)
    try:
        tensors = read(raw)
    except HeaderError:
        return
    assert sum(tensor.end - tensor.start for tensor in tensors) == len(data)
    assert all(tensor.end - tensor.start == tensor.size * DTYPE_BYTES[tensor.dtype] for tensor in tensors)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        read(data)
    except HeaderError:
        return


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_changed_byte_never_crashes_the_reader(place: int, value: int) -> None:
    data = bytearray(GOOD)
    data[place] = value
    try:
        read(bytes(data))
    except HeaderError:
        return


# As safetensors' own reader reads it: the engine opens stored files with that one.

ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
ODD_HEADERS = {
    "plain": f'{{"a":{ENTRY}}}',
    "metadata that is null": f'{{"__metadata__":null,"a":{ENTRY}}}',
    "metadata that is false": f'{{"__metadata__":false,"a":{ENTRY}}}',
    "metadata that is 0": f'{{"__metadata__":0,"a":{ENTRY}}}',
    "metadata that is a text": f'{{"__metadata__":"","a":{ENTRY}}}',
    "metadata that is a list": f'{{"__metadata__":[],"a":{ENTRY}}}',
    "metadata twice": f'{{"__metadata__":{{}},"__metadata__":{{}},"a":{ENTRY}}}',
    "metadata twice, once with an escape": f'{{"__metadata__":{{}},"__metadata\\u005f_":{{}},"a":{ENTRY}}}',
    "a field twice": '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "another field twice": '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}',
    "a tensor twice": f'{{"a":{ENTRY.replace("F32", "I32")},"a":{ENTRY}}}',
    "a field more": f'{{"a":{ENTRY[:-1]},"x":[1.5e3,true,null,"t"]}}}}',
    "NaN": f'{{"a":{ENTRY[:-1]},"x":NaN}}}}',
    "Infinity": f'{{"a":{ENTRY[:-1]},"x":-Infinity}}}}',
    "a number that is too large": f'{{"a":{ENTRY[:-1]},"x":1e999}}}}',
    "half of a surrogate pair": f'{{"a":{ENTRY[:-1]},"x":"\\ud800"}}}}',
    "half of a surrogate pair in a name": f'{{"\\udc00":{ENTRY}}}',
    "a whole surrogate pair": f'{{"\\ud83d\\ude00":{ENTRY}}}',
    "minus zero": f'{{"a":{ENTRY.replace("[0,", "[-0,")}}}',
    "a fraction": f'{{"a":{ENTRY.replace("[1]", "[1.0]")}}}',
    "a hundred deep": f'{{"a":{ENTRY[:-1]},"x":{"[" * 100 + "]" * 100}}}}}',
    "two hundred deep": f'{{"a":{ENTRY[:-1]},"x":{"[" * 200 + "]" * 200}}}}}',
    "spaces around": f'  {{"a":{ENTRY}}}\n \t',
    "NUL behind": f'{{"a":{ENTRY}}}\0',
    "a raw control character": f'{{"a\t":{ENTRY}}}',
    "an entry that is null": f'{{"a":{ENTRY},"b":null}}',
    "no name": f'{{"":{ENTRY}}}',
    "a comma too many": f'{{"a":{ENTRY},}}',
    "two values": f'{{"a":{ENTRY}}}{{}}',
}  # fmt: skip


def read_by_safetensors(data: bytes) -> list[str] | None:
    import safetensors

    reader: Any = safetensors.deserialize
    try:
        return sorted(name for name, _ in reader(data))
    except safetensors.SafetensorError:
        return None


def read_here(data: bytes) -> list[str] | None:
    try:
        return [tensor.name for tensor in read(data)]
    except HeaderError:
        return None


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_odd_headers_are_read_or_refused_as_by_safetensors(header: str) -> None:
    data = safetensors_bytes(header.encode(), bytes(4))
    assert read_here(data) == read_by_safetensors(data)


pieces = st.sampled_from(
    [
        "{", "}", "[", "]", ",", ":", '"a"', '"b"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', '"F32"', '"U8"',
        "0", "1", "4", "8", "-0", "1.0", "1e999", "NaN", "null", "true", " ", "\\ud800", '"\\ud800"', "\0", "\ufeff",
        '"a":' + ENTRY, '"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}', '"__metadata__":{"a":"b"}', ',"x":1',
    ]
)  # fmt: skip


@given(st.lists(pieces, max_size=12), st.integers(0, 2))
def test_whatever_is_read_here_is_read_alike_by_safetensors(parts: list[str], tensors: int) -> None:
    data = safetensors_bytes(("{" + "".join(parts) + "}").encode(), bytes(4 * tensors))
    found = read_here(data)
    assert found is None or found == read_by_safetensors(data)


@pytest.mark.parametrize(
    "unit", [b"[],", b"{},", b"0,", b'{"a":1},'], ids=["arrays", "objects", "numbers", "small objects"]
)
def test_a_small_file_cannot_take_gigabytes(unit: bytes) -> None:
    """A header of 24 MiB is refused before it is parsed when it has more parts than any real one."""
    raw = b'{"a":[' + unit * (MAX_HEADER_BYTES // len(unit) - 8) + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError, match="more than"):
            read(struct.pack("<Q", len(raw)) + raw)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_HEADER_BYTES
    finally:
        tracemalloc.stop()
