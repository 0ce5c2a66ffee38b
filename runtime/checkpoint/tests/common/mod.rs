//! Writes small GGUF and safetensors files, valid or deliberately invalid.
#![allow(dead_code)]

use std::path::Path;

/// A metadata value to write.
#[derive(Clone)]
pub enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Str(String),
    Strings(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    I32(i32),
    U64(u64),
    I64(i64),
    F64(f64),
    /// An array of arrays of bytes.
    Nested(Vec<Vec<u8>>),
}

/// A tensor to write: name, dimensions in the file's order, type id, bytes.
pub type Tensor = (String, Vec<u64>, u32, Vec<u8>);

/// Builder of a GGUF file.
#[derive(Clone)]
pub struct GgufWriter {
    pub version: u32,
    pub meta: Vec<(String, Meta)>,
    pub tensors: Vec<Tensor>,
    pub alignment: u64,
}

impl Default for GgufWriter {
    fn default() -> Self {
        Self { version: 3, meta: Vec::new(), tensors: Vec::new(), alignment: 32 }
    }
}

impl GgufWriter {
    pub fn meta(mut self, key: &str, value: Meta) -> Self {
        self.meta.push((key.to_owned(), value));
        self
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.meta(key, Meta::Str(value.to_owned()))
    }

    pub fn f32_tensor(mut self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name.to_owned(), dims.to_vec(), 0, bytes));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.meta.len() as u64).to_le_bytes());
        for (key, value) in &self.meta {
            string(&mut out, key);
            meta(&mut out, value);
        }
        let mut offset = 0_u64;
        for (name, dims, ty, data) in &self.tensors {
            string(&mut out, name);
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(ty.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + data.len() as u64).next_multiple_of(self.alignment);
        }
        for (_, _, _, data) in &self.tensors {
            out.resize((out.len() as u64).next_multiple_of(self.alignment) as usize, 0);
            out.extend(data);
        }
        out
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array(out: &mut Vec<u8>, element: u32, len: usize) {
    out.extend(9_u32.to_le_bytes());
    out.extend(element.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

fn meta(out: &mut Vec<u8>, value: &Meta) {
    let mut plain = |ty: u32, bytes: &[u8]| {
        out.extend(ty.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Meta::U8(x) => plain(0, &x.to_le_bytes()),
        Meta::I8(x) => plain(1, &x.to_le_bytes()),
        Meta::U16(x) => plain(2, &x.to_le_bytes()),
        Meta::I16(x) => plain(3, &x.to_le_bytes()),
        Meta::U32(x) => plain(4, &x.to_le_bytes()),
        Meta::I32(x) => plain(5, &x.to_le_bytes()),
        Meta::F32(x) => plain(6, &x.to_le_bytes()),
        Meta::Bool(x) => plain(7, &[u8::from(*x)]),
        Meta::U64(x) => plain(10, &x.to_le_bytes()),
        Meta::I64(x) => plain(11, &x.to_le_bytes()),
        Meta::F64(x) => plain(12, &x.to_le_bytes()),
        Meta::Str(text) => {
            plain(8, &[]);
            string(out, text);
        }
        Meta::Strings(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|t| string(out, t));
        }
        Meta::I32s(values) => {
            array(out, 5, values.len());
            values.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
        Meta::F32s(values) => {
            array(out, 6, values.len());
            values.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
        Meta::Nested(rows) => {
            array(out, 9, rows.len());
            for row in rows {
                out.extend(0_u32.to_le_bytes());
                out.extend((row.len() as u64).to_le_bytes());
                out.extend(row);
            }
        }
    }
}

/// A safetensors file from a JSON header and data.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(data);
    out
}
