"""What a file is whose name says something else, told by its first bytes, and what to do about it."""

_PICKLE = "is a pickle, which can run code when opened; save it again with save_pretrained, which writes safetensors"

_KINDS = (
    (
        (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"),
        "is a Git LFS pointer, not the file; run 'git lfs pull' where it was cloned, or download it with 'hf download'",
    ),
    ((b"# xet version",), "is a Xet pointer, not the file; download it with 'hf download'"),
    (
        (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"),
        "is a web page, not the file; download the file itself, with 'hf download' from the Hub",
    ),
    ((b"PK\x03\x04",), _PICKLE),  # torch.save writes a zip archive
    ((b"GGUF",), "is a GGUF file, llama.cpp's format; publish the PEFT folder that it was converted from"),
    ((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"), "is compressed; unpack it"),
)
#: Bytes that are looked at.
START = 48


def other_kind(start: bytes) -> str | None:
    """The end of a sentence about a file that begins with ``start``; None where it is no known kind of other file.

    Ask only about what could not be read as what it should be: a safetensors file may begin with any two bytes.
    """
    head = start[:START]
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and any(head[4:8]):
        return _PICKLE
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for starts, what in _KINDS if text.startswith(starts)), None)
