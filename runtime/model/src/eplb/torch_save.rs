//! Writes files for `torch.load`, also with `weights_only`: a zip archive with a pickle (protocol 2) and the data of
//! tensors (layout: PyTorch's `torch/serialization.py`).

use std::io::{self, Write};

/// Folder inside the archive.
const FOLDER: &str = "archive";
/// Alignment of tensor data in PyTorch, so that files can be mapped.
const ALIGNMENT: usize = 64;

/// A Python object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PyObject<'a> {
    None,
    Int(i64),
    Str(&'a str),
    List(Vec<PyObject<'a>>),
    Dict(Vec<(&'a str, PyObject<'a>)>),
    /// An int32 tensor: data and shape.
    Int32(&'a [i32], Vec<usize>),
    /// An int64 tensor: data and shape.
    Int64(&'a [i64], Vec<usize>),
}

impl PyObject<'_> {
    /// A list of integers.
    pub fn ints<T: Copy + Into<i64>>(values: &[T]) -> PyObject<'static> {
        PyObject::List(values.iter().map(|&v| PyObject::Int(v.into())).collect())
    }
}

/// The data of all tensors, concatenated by type. With one storage per type, a file with a million small tensors is
/// still an archive with a few entries.
#[derive(Default)]
struct Storages<'a> {
    int32: Vec<&'a [i32]>,
    int64: Vec<&'a [i64]>,
}

impl<'a> Storages<'a> {
    fn collect(&mut self, object: &PyObject<'a>) {
        match object {
            PyObject::List(items) => items.iter().for_each(|item| self.collect(item)),
            PyObject::Dict(items) => items.iter().for_each(|(_, item)| self.collect(item)),
            PyObject::Int32(values, _) => self.int32.push(values),
            PyObject::Int64(values, _) => self.int64.push(values),
            _ => {}
        }
    }
}

/// Writes an object.
///
/// # Errors
/// Writing fails, or the content is 4 GiB or more, which would need another archive format.
pub(super) fn save(object: &PyObject<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut storages = Storages::default();
    storages.collect(object);
    let count = |lengths: &mut dyn Iterator<Item = usize>| lengths.sum::<usize>();
    let mut pickler = Pickler {
        out: vec![0x80, 2],
        int32: (0, count(&mut storages.int32.iter().map(|s| s.len()))),
        int64: (0, count(&mut storages.int64.iter().map(|s| s.len()))),
    };
    pickler.object(object)?;
    pickler.out.push(b'.');
    let mut zip = Zip { out, written: 0, directory: Vec::new(), entries: 0 };
    let whole = |bytes: &[u8], to: &mut dyn FnMut(&[u8]) -> io::Result<()>| to(bytes);
    zip.entry("data.pkl", |to| whole(&pickler.out, to))?;
    zip.entry("byteorder", |to| whole(b"little", to))?;
    if !storages.int32.is_empty() {
        zip.entry("data/0", |to| numbers(&storages.int32, |v| v.to_le_bytes(), to))?;
    }
    if !storages.int64.is_empty() {
        zip.entry("data/1", |to| numbers(&storages.int64, |v| v.to_le_bytes(), to))?;
    }
    zip.entry("version", |to| whole(b"3\n", to))?;
    zip.finish()
}

/// Passes numbers on as bytes, a few thousand at a time.
fn numbers<T: Copy, const N: usize>(
    slices: &[&[T]],
    bytes: impl Fn(T) -> [u8; N],
    to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    for chunk in slices.iter().flat_map(|s| s.chunks(8192)) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|&v| bytes(v)));
        to(&buffer)?;
    }
    Ok(())
}

struct Pickler {
    out: Vec<u8>,
    /// Next offset and total count for the storage of each type.
    int32: (usize, usize),
    int64: (usize, usize),
}

impl Pickler {
    fn object(&mut self, object: &PyObject<'_>) -> io::Result<()> {
        match object {
            PyObject::None => self.out.push(b'N'),
            PyObject::Int(value) => self.int(*value),
            PyObject::Str(text) => self.text(text)?,
            PyObject::List(items) => {
                self.out.extend(b"](");
                items.iter().try_for_each(|item| self.object(item))?;
                self.out.push(b'e');
            }
            PyObject::Dict(items) => {
                self.out.extend(b"}(");
                for (key, item) in items {
                    self.text(key)?;
                    self.object(item)?;
                }
                self.out.push(b'u');
            }
            PyObject::Int32(values, shape) => {
                let (offset, total) = self.int32;
                self.int32.0 += values.len();
                self.tensor("IntStorage", "0", total, offset, shape)?;
            }
            PyObject::Int64(values, shape) => {
                let (offset, total) = self.int64;
                self.int64.0 += values.len();
                self.tensor("LongStorage", "1", total, offset, shape)?;
            }
        }
        Ok(())
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())`.
    fn tensor(
        &mut self,
        storage: &str,
        key: &str,
        total: usize,
        offset: usize,
        shape: &[usize],
    ) -> io::Result<()> {
        self.out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage")?;
        self.out.extend(format!("ctorch\n{storage}\n").into_bytes());
        self.text(key)?;
        self.text("cpu")?;
        self.int(total as i64);
        self.out.extend(b"tQ");
        self.int(offset as i64);
        let mut stride = 1;
        let mut strides = vec![1; shape.len()];
        for (to, n) in strides.iter_mut().zip(shape).rev() {
            *to = stride;
            stride *= (*n).max(1);
        }
        for dims in [shape, &strides] {
            self.out.push(b'(');
            dims.iter().for_each(|n| self.int(*n as i64));
            self.out.push(b't');
        }
        self.out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        Ok(())
    }

    fn int(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(small) => {
                self.out.push(b'J');
                self.out.extend(small.to_le_bytes());
            }
            Err(_) => {
                self.out.extend([0x8a, 8]);
                self.out.extend(value.to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.push(b'X');
        self.out.extend(u32::try_from(text.len()).map_err(|_| too_large())?.to_le_bytes());
        self.out.extend(text.as_bytes());
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::other("the record takes 4 GiB or more; dump it more often")
}

/// Receives the bytes of an entry. An entry's source must produce the same bytes each time.
type Feed<'f> = dyn FnMut(&[u8]) -> io::Result<()> + 'f;

/// A zip archive without compression.
struct Zip<'w, W> {
    out: &'w mut W,
    written: u64,
    directory: Vec<u8>,
    entries: u16,
}

impl<W: Write> Zip<'_, W> {
    fn entry(&mut self, name: &str, feed: impl Fn(&mut Feed<'_>) -> io::Result<()>) -> io::Result<()> {
        let (mut crc, mut size) = (crc32fast::Hasher::new(), 0_u64);
        feed(&mut |bytes| {
            crc.update(bytes);
            size += bytes.len() as u64;
            Ok(())
        })?;
        let name = format!("{FOLDER}/{name}");
        let offset = u32::try_from(self.written).map_err(|_| too_large())?;
        let size = u32::try_from(size).map_err(|_| too_large())?;
        let before = self.written as usize + 30 + name.len() + 4;
        let padding = before.next_multiple_of(ALIGNMENT) - before;
        // Version 2.0, no flags, stored, midnight of the first day of 1980.
        let mut common = Vec::new();
        for field in [20_u16, 0, 0, 0, 0x21] {
            common.extend(field.to_le_bytes());
        }
        for field in [crc.finalize(), size, size] {
            common.extend(field.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        let mut header = b"PK\x03\x04".to_vec();
        header.extend(&common);
        header.extend((4 + padding as u16).to_le_bytes());
        header.extend(name.as_bytes());
        // PyTorch's padding in an extra field, which readers skip.
        header.extend(b"FB");
        header.extend((padding as u16).to_le_bytes());
        header.extend(std::iter::repeat_n(b'Z', padding));
        self.out.write_all(&header)?;
        feed(&mut |bytes| self.out.write_all(bytes))?;
        self.written += header.len() as u64 + u64::from(size);
        self.entries += 1;
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(&common);
        // No extra field, no comment, disk 0, no attributes.
        self.directory.extend([0; 12]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let start = u32::try_from(self.written).map_err(|_| too_large())?;
        self.out.write_all(&self.directory)?;
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend([self.entries.to_le_bytes(), self.entries.to_le_bytes()].concat());
        end.extend([(self.directory.len() as u32).to_le_bytes(), start.to_le_bytes()].concat());
        end.extend([0, 0]);
        self.out.write_all(&end)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scripts/fixtures.d/torch_save.py` checked that `torch.load` opens exactly these bytes.
    #[test]
    fn the_bytes_equal_a_file_that_torch_opened() {
        let (a, b) = ([1, -2, 3, 4, 5, 6], [7, 8, 1_i64 << 40]);
        let object = PyObject::Dict(vec![
            ("rank", PyObject::Int(0)),
            ("large", PyObject::Int(-(1 << 40))),
            ("nothing", PyObject::None),
            ("text", PyObject::Str("primary – é")),
            ("list", PyObject::ints(&[1_u32, 2, 3])),
            ("empty", PyObject::List(Vec::new())),
            ("first", PyObject::Int32(&a[..4], vec![2, 2])),
            ("second", PyObject::Int32(&a[4..], vec![2, 1])),
            ("none", PyObject::Int32(&[], vec![0, 3])),
            ("long", PyObject::Int64(&b, vec![1, 3])),
        ]);
        let mut file = Vec::new();
        save(&object, &mut file).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/torch_save.pt");
        if std::env::var_os("SGLANG_WRITE_FIXTURES").is_some() {
            std::fs::write(path, &file).unwrap();
        }
        assert_eq!(file, std::fs::read(path).unwrap());
        for entry in ["data.pkl", "data/0", "data/1"] {
            let name = format!("{FOLDER}/{entry}FB");
            let at = file.windows(name.len()).position(|w| w == name.as_bytes()).unwrap() + name.len();
            let padding = u16::from_le_bytes([file[at], file[at + 1]]);
            assert_eq!((at + 2 + padding as usize) % ALIGNMENT, 0, "{entry} is not aligned");
        }
    }
}
