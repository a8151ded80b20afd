"""Bytes damaged at random, as disks, networks and enemies do it."""

import random
import struct


def damage(content: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The content with bytes changed, cut off, cut out, doubled, zeroed, inserted or spliced, or a number raised."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2))):
        if len(data) < 8:
            break
        at, length = chance.randrange(len(data)), chance.randrange(1, max(2, len(data) // 4))
        kind = chance.choice(("flip", "flip", "header", "cut", "out", "double", "zero", "insert", "splice", "number"))
        if kind == "flip":
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        elif kind == "header":
            for _ in range(chance.randrange(1, 5)):
                data[chance.randrange(min(len(data), 64))] = chance.randrange(256)
        elif kind == "cut":
            del data[at:]
        elif kind == "out":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "zero":
            data[at : at + length] = bytes(min(length, len(data) - at))
        elif kind == "insert":
            data[at:at] = chance.randbytes(length)
        elif kind == "splice":
            data[at:] = chance.choice(others)[at:]
        else:  # somewhere a length or a size becomes enormous
            at = chance.randrange(max(1, min(len(data), 200) - 4))
            data[at : at + 4] = struct.pack(chance.choice("<>") + "I", chance.choice((50_000, 2**31 - 1, 2**32 - 1)))
    return bytes(data)
