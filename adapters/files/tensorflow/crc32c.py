"""CRC-32C (Castagnoli), over many bytes at once: the polynomial of LevelDB's and TensorFlow's checksums."""

from functools import lru_cache
from math import isqrt

import numpy as np
from jaxtyping import UInt8, UInt32

_POLYNOMIAL, _ONES, _PIECE = 0x82F63B78, 0xFFFFFFFF, 4 << 20
_BITS = np.arange(32, dtype=np.uint32)


def _by_byte() -> UInt32[np.ndarray, "256"]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_TABLE = _by_byte()


def masked_crc32c(data: UInt8[np.ndarray, " byte"]) -> int:
    """The checksum of bytes as LevelDB stores it: rotated, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES


def crc32c(data: UInt8[np.ndarray, " byte"]) -> int:
    """The CRC-32C of bytes."""
    state = _ONES
    for start in range(0, len(data), _PIECE):
        state = _after(state, data[start : start + _PIECE])
    return state ^ _ONES


def _after(state: int, data: UInt8[np.ndarray, " byte"]) -> int:
    """The state after bytes: these go side by side in lanes, whose states are then joined.

    A state before the data is the same as its four bytes xored to the first four, and zeros before the
    data change nothing where the state is zero; so every lane begins with zero and has the same length.
    """
    lanes = isqrt(len(data) + 4)
    length = -(-max(len(data), 4) // lanes)
    padded = np.zeros(lanes * length, np.uint8)
    padded[len(padded) - len(data) :] = data
    if len(data) < 4:
        return _few(state, data)
    padded[len(padded) - len(data) :][:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    states = np.zeros(lanes, np.uint32)
    for column in padded.reshape(lanes, length).T:
        states = _TABLE[(states ^ column) & 255] ^ (states >> 8)
    low, second, third, high = _zeros(length)
    joined = 0
    for one in states.tolist():
        moved = low[joined & 255] ^ second[joined >> 8 & 255] ^ third[joined >> 16 & 255] ^ high[joined >> 24]
        joined = moved ^ one
    return joined


def _few(state: int, data: UInt8[np.ndarray, " byte"]) -> int:
    for byte in data.tolist():
        state = int(_TABLE[(state ^ byte) & 255]) ^ state >> 8
    return state


@lru_cache(maxsize=64)
def _zeros(count: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """What so many bytes of zero make of a state: by each byte of it, the parts to xor."""
    step = np.uint32(1) << _BITS
    step = _TABLE[step & 255] ^ (step >> 8)
    whole = np.uint32(1) << _BITS
    while count:
        if count & 1:
            whole = _apply(step, whole)
        step = _apply(step, step)
        count >>= 1
    bytes_ = np.arange(256, dtype=np.uint32)
    low, second, third, high = (
        _apply(whole, bytes_ << np.uint32(shift)).tolist() for shift in (0, 8, 16, 24)
    )
    return low, second, third, high


def _apply(map_: UInt32[np.ndarray, "32"], states: UInt32[np.ndarray, " n"]) -> UInt32[np.ndarray, " n"]:
    """A linear map of bits, by the images of each bit, on some states."""
    chosen = np.where((states[:, None] >> _BITS) & 1, map_, np.uint32(0))
    return np.bitwise_xor.reduce(chosen, axis=1)
