"""Pickles: what Python reads is read the same, what Python 2 wrote too, and nothing is ever run."""

import argparse
import os
import pickle
import pickletools
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.adapters.files.refusals import checked_refusal
from vlx.adapters.files.pickle.reader import Named, Standin, read_pickle

PROTOCOLS = range(6)


def back(path: Path, value: object, protocol: int = 2) -> Any:
    return read(path, pickle.dumps(value, protocol))


def read(path: Path, blob: bytes) -> Any:
    (path / "x.pkl").write_bytes(blob)
    return read_pickle(path / "x.pkl")


def refused(path: Path, blob: bytes) -> str:
    (path / "x.pkl").write_bytes(blob)
    return checked_refusal(lambda: read_pickle(path / "x.pkl"))


PLAIN: dict[str, Any] = {
    "numbers": [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, 2**64, -(2**200), 0.1, -1e300, 1 + 2j],
    "flags": (True, False, None),
    "text": ["", "a", "zwölf", "日本", "😀", "line\nand 'quote' \\x41", "x" * 300, "y" * 70000],
    "bytes": [b"", b"\x00\xff", b"z" * 300, bytearray(b"abc")],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "sets": [set(), {1, "a"}, frozenset({(1, 2), None})],
    "dicts": {1: {}, "b": {"c": [[]]}, (1, "x"): 2, 0.5: 3, None: 4, b"k": 5},
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "counted": Counter("hello"),
    "queue": deque([1, 2, 3]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol: int, tmp_path: Path) -> None:
    found = back(tmp_path, PLAIN, protocol)
    expected = {**PLAIN, "queue": [1, 2, 3]}
    assert found == expected
    assert list(found["ordered"]) == ["b", "a"]
    assert [type(one) for one in found["numbers"]] == [type(one) for one in PLAIN["numbers"]]
    assert [type(one) for one in found["bytes"]] == [bytes, bytes, bytes, bytearray]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_default_dict_is_a_plain_one(protocol: int, tmp_path: Path) -> None:
    given = defaultdict(list, {"a": [1]})
    given["b"] = [2]
    assert back(tmp_path, given, protocol) == {"a": [1], "b": [2]}
    assert back(tmp_path, defaultdict(None, {1: 2}), protocol) == {1: 2}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_shared_stays_shared(protocol: int, tmp_path: Path) -> None:
    inner: list[Any] = [1]
    inner.append(inner)
    found = back(tmp_path, {"a": inner, "b": (inner, inner)}, protocol)
    assert found["a"][1] is found["a"]
    assert found["b"][0] is found["b"][1] is found["a"]


def test_a_pickle_without_unused_memos_comes_back(tmp_path: Path) -> None:
    shared = ["x"]
    blob = pickletools.optimize(pickle.dumps([shared, {"a": shared}, "y"], 2))
    found = read(tmp_path, blob)
    assert found == [["x"], {"a": ["x"]}, "y"]
    assert found[0] is found[1]["a"]


ARRAYS = {
    "float": np.arange(12, dtype=np.float32).reshape(3, 4),
    "turned": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">i4"),
    "large": np.arange(3000, dtype=np.int64),
    "half": np.array([0.5, -1], np.float16),
    "bool": np.array([[True], [False]]),
    "bytes": np.array([1, 2, 255], np.uint8),
    "complex": np.array([1j, 2]),
    "text": np.array(["ab", "zwölf"]),
    "big text": np.array(["ab", "c"], dtype=">U2"),
    "raw": np.array([b"ab", b"c"]),
    "objects": np.array([[None, "x"], [1, {"a": 2}]], dtype=object),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(7.5),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name: str, protocol: int, tmp_path: Path) -> None:
    array = pickle.loads(pickle.dumps(ARRAYS[name], protocol))  # of the machine's byte order, for some
    found = back(tmp_path, [ARRAYS[name]] * 2, protocol)
    assert found[0] is found[1]
    assert isinstance(found[0], np.ndarray)
    assert found[0].dtype == array.dtype
    assert found[0].shape == array.shape
    assert np.array_equal(found[0], array)
    assert found[0].flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_of_numpy_come_back(protocol: int, tmp_path: Path) -> None:
    given = [np.float32(0.1), np.int64(-3), np.bool_(True), np.dtype("f4"), np.dtype(">i8"), np.str_("a")]
    found = back(tmp_path, given, protocol)
    assert found == given
    assert [type(one) for one in found] == [type(one) for one in given]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_of_a_plain_pickle_come_back(protocol: int, tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    found = back(tmp_path, {"w": whole, "t": whole.T[1:], "p": torch.nn.Parameter(whole)}, protocol)
    assert torch.equal(found["w"], whole)
    assert torch.equal(found["t"], whole.T[1:])
    assert torch.equal(found["p"], whole)
    assert type(found["p"]) is Tensor


# Classes.


class Vocabulary:
    """As the vocabularies of tutorials."""

    def __init__(self) -> None:
        self.word2idx = {"<pad>": 0, "a": 1}
        self.idx2word = {0: "<pad>", 1: "a"}
        self.me = self


class Options(dict[str, int]):
    pass


class Names(list[str]):
    pass


class Slotted:
    __slots__ = ("x",)


class Called:
    def __reduce__(self) -> Any:
        return Called, (1, "b"), {"c": 2}


class Made:
    def __new__(cls, *args: object, **names: object) -> "Made":
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> Any:
        return (1,), {"width": 2}


HERE = "tests.adapters.files.pickle.test_reader."


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_of_other_classes_are_standins(protocol: int, tmp_path: Path) -> None:
    found = back(tmp_path, Vocabulary(), protocol)
    assert isinstance(found, Standin)
    assert found.class_name == f"{HERE}Vocabulary"
    assert found.state == {"word2idx": {"<pad>": 0, "a": 1}, "idx2word": {0: "<pad>", 1: "a"}, "me": found}
    assert repr(found) == f"Standin(class_name='{HERE}Vocabulary')"
    namespace = back(tmp_path, argparse.Namespace(rnn_size=512), protocol)
    assert (namespace.class_name, namespace.state) == ("argparse.Namespace", {"rnn_size": 512})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_children_of_dicts_and_lists_keep_what_they_hold(protocol: int, tmp_path: Path) -> None:
    options, names = Options(a=1), Names("xy")
    options.more = 2  # type: ignore[attr-defined]
    found, listed = back(tmp_path, (options, names), protocol)
    assert (found.class_name, found.items, found.state) == (f"{HERE}Options", {"a": 1}, {"more": 2})
    assert (listed.class_name, listed.values) == (f"{HERE}Names", ["x", "y"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_a_class_is_called_with_is_kept(protocol: int, tmp_path: Path) -> None:
    called, built, slotted = Called(), Made(), Slotted()
    slotted.x = 3  # type: ignore[attr-defined]
    first, second, third = back(tmp_path, [called, built, slotted], protocol)
    assert (first.class_name, first.args, first.state) == (f"{HERE}Called", (1, "b"), {"c": 2})
    if protocol > 3:
        assert (second.class_name, second.args) == (f"{HERE}Made", (1, {"width": 2}))
    assert (third.class_name, third.state) == (f"{HERE}Slotted", (None, {"x": 3}))


def test_a_class_itself_is_its_name(tmp_path: Path) -> None:
    found = back(tmp_path, [os.getcwd, Vocabulary, torch.float16])
    assert [one.name for one in found[:2] if isinstance(one, Named)] == ["posix.getcwd", f"{HERE}Vocabulary"]
    assert found[2] is torch.float16


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    blob = pickle.dumps([Attack(mark)], protocol)
    pickle.loads(blob)
    assert mark.is_dir()  # the attack works where a pickle is loaded
    mark.rmdir()
    (found,) = read(tmp_path, blob)
    assert not mark.exists()
    assert (found.class_name, found.args) == ("posix.mkdir", (str(mark),))


# Python 2, by hand, as its pickle and cPickle wrote.

NAMESPACE = b"""(dp0
S'opt'
p1
ccopy_reg
_reconstructor
p2
(cargparse
Namespace
p3
c__builtin__
object
p4
Ntp5
Rp6
(dp7
S'rnn_size'
p8
I512
sS'start'
p9
I01
sS'lr'
p10
F0.0004
sbsS'vocab'
p11
(dp12
V1
p13
Vcaf\\u00e9\xe9
p14
sV2
p15
S'd\\xc3\\xa9j\\xe0 \\'\\\\n\\n\\''
p16
ssS'long'
p17
L18446744073709551616L
sS'list'
p18
(lp19
I1
aI2
as."""


def test_python_2_protocol_0(tmp_path: Path) -> None:
    found = read(tmp_path, NAMESPACE)
    options = found.pop("opt")
    assert (options.class_name, options.state) == (
        "argparse.Namespace",
        {"rnn_size": 512, "start": True, "lr": 0.0004},
    )
    assert found == {
        "vocab": {"1": "caféé", "2": "dÃ©jà '\\n\n'"},  # no UTF-8, so Latin-1
        "long": 2**64,
        "list": [1, 2],
    }


def test_python_2_strings_are_utf8_or_latin1(tmp_path: Path) -> None:
    assert read(tmp_path, b"\x80\x02]q\x01(U\x05caf\xc3\xa9q\x02U\x04caf\xe9q\x03T\x03\0\0\0abce.") == [
        "café",
        "café",
        "abc",
    ]


OLD_ARRAY = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
    b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02%s%sK\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89U%c%stb."
)


@pytest.mark.parametrize("numbers", [[0.5, -2], [1e-30, 3], [105.5, 105.5]])
def test_python_2_arrays(numbers: list[float], tmp_path: Path) -> None:
    raw = np.array(numbers, "<f4").tobytes()
    found = read(tmp_path, OLD_ARRAY % (b"f", b"4", len(raw), raw))
    assert found.dtype == np.float32
    assert found.tolist() == np.array(numbers, np.float32).tolist()


def test_python_2_array_whose_bytes_are_utf8(tmp_path: Path) -> None:
    raw = "é€".encode() + b"abc"
    assert read(tmp_path, OLD_ARRAY % (b"i", b"4", 8, raw)).tolist() == np.frombuffer(raw, "<i4").tolist()


def test_python_2_classes_of_the_old_style(tmp_path: Path) -> None:
    for blob in (
        b"(ivocab\nVocabulary\np0\n(dp1\nS'n'\np2\nI3\nsb.",
        b"(cvocab\nVocabulary\no}U\x01nK\x03sb.",
    ):
        found = read(tmp_path, blob)
        assert (found.class_name, found.args, found.state) == ("vocab.Vocabulary", (), {"n": 3})


# Hostile and damaged files.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_off_anywhere_is_refused(protocol: int, tmp_path: Path) -> None:
    whole = pickle.dumps([1, {"a": 2.5}, ("x", {3}), np.arange(3), Options(b=4)], protocol)
    for length in range(len(whole) - 1, 0, -2):
        assert "is truncated" in refused(tmp_path, whole[:length])


DEEP = 2_000_000
HOSTILE = {
    "an unknown instruction": (b"\x80\x02\xff.", "unknown instruction b'\\xff'"),
    "an extension": (b"\x80\x02\x82\x01.", "unknown instruction"),
    "a buffer outside": (b"\x80\x05\x97.", "unknown instruction"),
    "an id": (b"Pevil\n.", "outside the pickle"),
    "an id on the stack": (b"K\x01Q.", "outside the pickle"),
    "nothing": (b"\x80\x02.", "nothing is left"),
    "a pop of nothing": (b"0.", "nothing is left"),
    "a pop below a mark": (b"K\x01(\x85.", "nothing is left"),
    "no mark": (b"t.", "no mark was set"),
    "a memo that is not there": (b"h\x07.", "nothing was remembered as 7"),
    "long text": (b"X\xff\xff\xff\x7fabc.", "2147483647 bytes are said to follow"),
    "longer text": (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "bytes are said to follow"),
    "long bytes": (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.", "bytes are said to follow"),
    "a long bytearray": (b"\x96\xff\xff\xff\xff\xff\xff\xff\x0fabc.", "bytes are said to follow"),
    "a long number": (b"\x8b\xff\xff\xff\x7f\x01.", "bytes are said to follow"),
    "a long frame": (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", "bytes are said to follow"),
    "a number that is none": (b"F" + b"x" * 4000 + b"\n.", "could not convert string to float"),
    "a number of many digits": (b"I" + b"1" * 5000 + b"\n.", "does not end"),
    "a long name": (b"c" + b"a" * 400 + b"\nb\n.", "does not end"),
    "a long name on the stack": (b"X\x90\x01\0\0" + b"a" * 400 + b"X\x01\0\0\0b\x93.", "401 letters"),
    "a name that is no text": (b"K\x01K\x02\x93.", "by no text"),
    "a call of a number": (b"K\x01)R.", "it calls a int with a tuple"),
    "a call without arguments": (b"cos\nsystem\nK\x01R.", "it calls a Named with a int"),
    "a list as a key": (b"}]K\x01s.", "unhashable"),
    "an odd dict": (b"(K\x01d.", "1 keys and values"),
    "items of a number": (b"K\x01K\x02K\x03s.", "2 keys and values for a int"),
    "an item of a number": (b"K\x01K\x02a.", "values for a int"),
    "a member of a number": (b"K\x01(K\x02\x90.", "members for a int"),
    "a state for a number": (b"K\x01}b.", "a state for a int"),
    "nested tuples as a key": (b"})\x85K\x01s.", "a key of kind tuple"),
    "a frozen set as a key": (b"}(\x91K\x01s.", "a key of kind frozenset"),
    "a complex number as a key": (
        b"}cbuiltins\ncomplex\nG" + bytes(8) + b"G" + bytes(8) + b"\x86RNs.",
        "complex",
    ),
    "a long number as a key": (b"}\x8a\x0a" + b"\x7f" * 10 + b"Ns.", "a number of 79 bits is a key"),
    "a long tuple as a key": (b"}(" + b"N" * 65 + b"tNs.", "a tuple of 65 parts is a key"),
    "no UTF-8": (b"X\x01\0\0\0\xff.", "can't decode"),
    "a string without quotes": (b"Sabc\n.", "without quotes"),
    "a bytearray of a number": (b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "int where bytes"),
    "bytes of a number": (b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "int where bytes"),
    "another encoding": (b"c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R.", "unknown encoding"),
    "empty sets": (b"\x80\x04(" + b"\x8f" * DEEP + b"l.", "more than twice its size"),
    "empty dicts": (b"(" + b"}" * DEEP + b"l.", "more than twice its size"),
    "a torch file in a torch file": (
        b"ctorch.storage\n_load_from_bytes\nC\x02\x80\x02\x85R.",
        "is truncated",
    ),
}


@pytest.mark.parametrize(("blob", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_pickle_is_refused(
    blob: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(blob) > DEEP:
        monkeypatch.setattr("vlx.adapters.files.source.ROOM", 0)
    assert message in refused(tmp_path, blob)


def array_of(dtype: bytes, shape: bytes, data: bytes, state: bytes = b"") -> bytes:
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape + b"cnumpy\ndtype\nU" + bytes([len(dtype)]) + dtype + b"\x89\x88\x87R" + state
        + b"\x89" + data + b"tb."
    )  # fmt: skip  # as it lies in the file


def test_the_arrays_written_here_can_be_right(tmp_path: Path) -> None:
    assert read(tmp_path, array_of(b"i2", b"K\x02\x85", b"U\x04\x01\0\x02\0")).tolist() == [1, 2]


FOUR = b"U\x04\x01\0\x02\0"
BAD_ARRAYS = {
    "a wrong length": (array_of(b"i2", b"K\x03\x85", FOUR), "4 values or bytes for an array of shape (3,)"),
    "a huge shape": (array_of(b"i2", b"\x8a\x07" + b"\x7f" * 7 + b"\x85", FOUR), "for an array of shape"),
    "a shape beyond 64 bits": (array_of(b"i2", b"\x8a\x09" + b"\x7f" * 9 + b"\x85", FOUR), "no shape"),
    "a negative shape": (array_of(b"i2", b"J\xff\xff\xff\xff\x85", FOUR), "no shape"),
    "many dimensions": (array_of(b"i2", b"(" + b"K\x01" * 40 + b"t", FOUR), "no shape"),
    "pointers": (array_of(b"O8", b"K\x01\x85", b"U\x08AAAAAAAA"), "values or bytes"),
    "numbers in a list": (array_of(b"i2", b"K\x01\x85", b"]K\x01a"), "values or bytes"),
    "structures": (array_of(b"V8", b"K\x01\x85", FOUR, b"(K\x03U\x01|N)}K\x08K\x01K\x00tb"), "of structures"),
    "items of another size": (
        array_of(b"i2", b"K\x02\x85", FOUR, b"(K\x03U\x01<NNNK\x10K\x01K\x00tb"), "other than 2 bytes"
    ),
    "an unknown kind": (array_of(b"i2,f4", b"K\x01\x85", FOUR), "an array of kind 'i2,f4'"),
    "a kind that numpy lacks": (array_of(b"f3", b"K\x01\x85", FOUR), "not understood"),
}  # fmt: skip


@pytest.mark.parametrize(("blob", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_a_hostile_array_is_refused(blob: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, blob)


def test_values_may_lie_deep_in_each_other(tmp_path: Path) -> None:
    for blob in (
        b"]" * 8_000 + b"a" * 7_999,
        b")" + b"\x85" * 8_000,
        b"N" + b"q\x010}K\x01h\x01s" * 3_000,
    ):
        assert isinstance(read(tmp_path, blob + b"."), list | tuple | dict)


def test_a_set_made_over_and_over_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 1 << 20)
    members = b"".join(b"M" + at.to_bytes(2, "little") for at in range(1000))
    again = b"cbuiltins\nfrozenset\nq\x01(" + members + b"lq\x02" + b"(" + b"h\x01h\x02\x85R" * 1000 + b"l."
    assert "more than twice its size" in refused(tmp_path, again)


def test_keys_that_can_be_made_to_collide_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 1 << 20)
    assert back(tmp_path, {(at, 1): None for at in range(50)})[(7, 1)] is None
    assert "more than twice its size" in refused(tmp_path, pickle.dumps({(at, 1): None for at in range(100)}))


def test_instructions_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.adapters.files.pickle.instructions._MOST", 1000)
    assert read(tmp_path, b"N0" * 499 + b"N.") is None
    assert "over 1000 instructions" in refused(tmp_path, b"N0" * 500 + b"N.")


def test_a_value_that_cannot_be_shown_is_refused_at_once(tmp_path: Path) -> None:
    doubled = b"]q\x00" + b"0]h\x00ah\x00aq\x00" * 60  # a list that holds the one before twice
    for blob in (
        b"cnumpy\ndtype\n" + doubled + b"\x85R.",
        b"\x80\x02cnumpy\ndtype\nU\x02f4\x89\x88\x87R(K\x03U\x01<NNN" + doubled + b"K\x01K\x00tb.",
    ):
        assert "is truncated" in refused(tmp_path, blob)
