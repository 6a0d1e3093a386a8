"""Writes valid checkpoints as the fuzzer's corpus, and the dictionary of words to insert."""

import json
import struct
import sys
import zipfile
from pathlib import Path

from weights_tools.formats.torch_format import globals as torch_globals

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from crafted import ORDERED_DICT, PROTO, STORAGE_ID, legacy, state_dict, tensor, text

# The first byte of an input selects what the rest is; see `fuzz_reader.py`.
AS_FILE, IN_ZIP, IN_LEGACY = b"\0", b"\1", b"\2"


def pickles() -> list[bytes]:
    """One pickle for each way in which torch describes a tensor."""
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + tensor() + b"\x88" + ORDERED_DICT + b"tR"
    marked = b"ctorch._utils\n_rebuild_parameter_with_state\n("
    marked += tensor() + b"\x88" + ORDERED_DICT + b"}" + text("lr") + b"K\x01stR"
    untyped = STORAGE_ID.replace(b"ctorch\nFloat", b"ctorch.storage\nUntyped")
    untyped = untyped.replace(b"K\x02t", b"K\x08t") + b"Q"
    bare = b"ctorch._utils\n_rebuild_tensor_v3\n(" + untyped
    bare += b"K\x01K\x02\x85K\x01\x85\x89" + ORDERED_DICT + b"ctorch\nuint16\ntR"
    metadata = b"}" + text("_metadata") + ORDERED_DICT + b"sb"
    return [
        state_dict(),
        state_dict(value=parameter),
        state_dict(value=marked),
        state_dict(value=bare),
        state_dict(value=tensor(shape=b")", strides=b")")),
        state_dict(value=tensor(shape=b"K\x00K\x05\x86", strides=b"K\x05K\x01\x86")),
        PROTO + ORDERED_DICT + text("a") + tensor() + b"s" + metadata + b".",
        PROTO + b"}q\x00(" + text("model.a") + tensor() + b"q\x01" + text("model.b") + b"h\x01u.",
        PROTO + b"}" + text("state_dict") + b"}" + text("module.a") + tensor() + b"ss.",
        state_dict(before=text("l") + b"](K\x01NM\x01\x02J\1\2\3\4e\x88as"),
        state_dict(before=text("s") + b"ctorch\nSize\nK\x01K\x02\x86\x85Rs"),
        PROTO + b"ccollections\nOrderedDict\n]](" + text("a") + tensor() + b"ea\x85R.",
        b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00"
        + state_dict()[2:].replace(
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94\x93",
        ),
    ]


def zip_files(folder: Path) -> list[bytes]:
    """A plain archive and a compressed big-endian one."""
    files = []
    for method, order in ((zipfile.ZIP_STORED, b"little"), (zipfile.ZIP_DEFLATED, b"big")):
        path = folder / "seed.pth"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a/data.pkl", state_dict())
            archive.writestr("a/byteorder", order)
            archive.writestr("a/data/0", struct.pack("<2f", 1.0, 2.0))
        files.append(path.read_bytes())
        path.unlink()
    return files


def safetensors_files() -> list[bytes]:
    """One file for each element size."""
    files = []
    for dtype, size in (("F32", 4), ("BF16", 2), ("C64", 8), ("F8_E4M3", 1)):
        header = {
            "__metadata__": {"format": "pt"},
            "module.a": {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, 2 * size]},
            "module.b": {"dtype": dtype, "shape": [], "data_offsets": [2 * size, 3 * size]},
        }
        encoded = json.dumps(header).encode()
        files.append(struct.pack("<Q", len(encoded)) + encoded + bytes(3 * size))
    return files


def main() -> None:
    """Fills the folder named on the command line."""
    folder = Path(sys.argv[1])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    files = [*zip_files(folder), legacy(b"", b"", b"", state_dict()), *safetensors_files()]
    inputs = [AS_FILE + content for content in files]
    inputs += [kind + pickle for pickle in pickles() for kind in (IN_ZIP, IN_LEGACY)]
    for number, content in enumerate(inputs):
        (corpus / f"seed{number}").write_bytes(content)
    names = [*torch_globals.NAMES, "_metadata", "state_dict", "storage", "builtins.exec"]
    words = {part for name in names for part in (*name.rsplit(".", 1), name.replace(".", "\\x0a"))}
    (folder / "words").write_text("".join(f'"{word}"\n' for word in sorted(words)))


if __name__ == "__main__":
    main()
