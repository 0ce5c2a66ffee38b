#!/usr/bin/env python3
"""Writes runtime/checkpoint/tests/fixtures/gguf_quants.json: blocks of every type, and their values by the gguf package;
and runtime/checkpoint/src/gguf/iq/grids.bin: the tables of the IQ types, from that package.

usage: gguf_quants.py OUT_DIR

If the package can quantise a type, its blocks come from random values; the K types are random bytes with plausible
scales. Bytes and float32 values are in hexadecimal, little endian. For the types in MANY there are more blocks, which the
test makes with the same generator, and the SHA-256 of all values.
"""
import hashlib
import json
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf import quants
from gguf.quants import dequantize, quantize

SMALL = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]
# Byte offsets of the half-precision scales of a block.
SCALES = {T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}

# Types that are converted to others or float32 when they are read, with the offsets of their scales.
MANY = {
    T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ1_S: [0], T.IQ1_M: [], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0],
    T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
}
BLOCKS = 256
# Tables in the order of the file.
GRIDS = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S]


def many_blocks(ty, scales):
    """Blocks whose bytes are the highest of a linear congruential generator, with scales below 2."""
    size = GGML_QUANT_SIZES[ty][1]
    state, data = int(ty), bytearray()
    for _ in range(BLOCKS * size):
        state = (state * 1664525 + 1013904223) % 2**32
        data.append(state >> 24)
    data = np.frombuffer(bytes(data), dtype=np.uint8).reshape(BLOCKS, size).copy()
    for offset in scales:
        data[:, offset + 1] &= 0xBF
    if ty == T.IQ1_M:
        # The highest bits of the scale are those of the last byte.
        data[:, 55] &= 0xBF
    return data


def packed_grid(cls):
    """Entries as 16-bit numbers that contain the indices of their values, the first one in the lowest bits."""
    cls.init_grid()
    values = list(cls.grid_map)
    rows = cls.grid.reshape(cls.grid_shape)
    bits = 16 // rows.shape[1]
    return b"".join(sum(values.index(x) << bits * j for j, x in enumerate(row)).to_bytes(2, "little") for row in rows)


def main():
    out = pathlib.Path(sys.argv[1])
    rng = np.random.default_rng(11)
    types = {}
    for ty in SMALL:
        values = rng.standard_normal((1, 96)).astype(np.float32) * np.float32(0.3)
        data = quantize(values, ty).view(np.uint8).reshape(1, -1) if ty != T.F32 else values.view(np.uint8)
        types[ty.name] = data
    for ty, offsets in SCALES.items():
        size = GGML_QUANT_SIZES[ty][1]
        data = rng.integers(0, 256, (2, size), dtype=np.uint8)
        for offset in offsets:
            scale = rng.uniform(-0.02, 0.02, 2).astype(np.float16)
            data[:, offset : offset + 2] = scale.view(np.uint8).reshape(2, 2)
        types[ty.name] = data.reshape(1, -1)
    types["MXFP4"] = quantize(rng.standard_normal((1, 96)).astype(np.float32), T.MXFP4).reshape(1, -1)
    # The smallest scales are subnormal numbers.
    types["MXFP4"][0, [0, 17]] = [0, 1]
    result = {}
    for name, data in types.items():
        values = data.view(np.float32) if name == "F32" else dequantize(data, T[name])
        result[name] = {"data": data.tobytes().hex(), "values": values.astype("<f4").tobytes().hex()}
    for ty, scales in MANY.items():
        values = dequantize(many_blocks(ty, scales).reshape(1, -1), ty).astype("<f4")
        assert np.isfinite(values).all(), ty.name
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        first = [float(x) for x in values[0, :8]]
        result[ty.name] = {"blocks": BLOCKS, "scales": scales, "first": first, "sha256": digest}
    grids = out.parent.parent / "src/gguf/iq/grids.bin"
    grids.write_bytes(b"".join(map(packed_grid, GRIDS)))
    print(f"{grids}: {grids.stat().st_size} bytes")
    path = out / "gguf_quants.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{path}: {', '.join(result)}")


main()
