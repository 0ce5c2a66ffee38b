#!/usr/bin/env python3
"""Writes runtime/checkpoint/tests/fixtures/gguf_quants.json: blocks of every type, and what the gguf package reads there.

usage: gguf_quants.py OUT_DIR

Where the package can quantise, blocks come from random values; the K types are random bytes with plausible scales.
Bytes and float32 values are in hexadecimal, little endian.
"""
import json
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

SMALL = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]
# Byte offsets of the half-precision scales of a block.
SCALES = {T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


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
    # The smallest scales are no normal numbers.
    types["MXFP4"][0, [0, 17]] = [0, 1]
    result = {}
    for name, data in types.items():
        values = data.view(np.float32) if name == "F32" else dequantize(data, T[name])
        result[name] = {"data": data.tobytes().hex(), "values": values.astype("<f4").tobytes().hex()}
    path = out / "gguf_quants.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{path}: {', '.join(result)}")


main()
