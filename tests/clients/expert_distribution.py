"""Prints the contents of an expert distribution dump as JSON: python expert_distribution.py FILE.pt

Reads the file as torch.load does (zip, pickle, storages by persistent id), using only the standard library.
"""
import array
import json
import pickle
import sys
import zipfile
from collections import OrderedDict




def tensor(storage, offset, size, stride, requires_grad, hooks):
    assert requires_grad is False and hooks == OrderedDict()

    def numbers(offset, size, stride):
        if not size:
            return storage[offset]
        return [numbers(offset + i * stride[0], size[1:], stride[1:]) for i in range(size[0])]

    return {"shape": list(size), "dtype": storage.typecode, "values": numbers(offset, size, stride)}


class Unpickler(pickle.Unpickler):
    def __init__(self, archive):
        self.archive = archive
        super().__init__(archive.open("archive/data.pkl"))

    def find_class(self, module, name):
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): tensor,
            ("torch", "IntStorage"): "i",
            ("torch", "LongStorage"): "q",
            ("collections", "OrderedDict"): OrderedDict,
        }
        return known[(module, name)]

    def persistent_load(self, pid):
        kind, typecode, key, device, count = pid
        assert (kind, device) == ("storage", "cpu")
        numbers = array.array(typecode, self.archive.read(f"archive/data/{key}"))
        assert len(numbers) == count
        return numbers


with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    assert archive.read("archive/byteorder") == b"little" and archive.read("archive/version") == b"3\n"
    print(json.dumps(Unpickler(archive).load()))
