//! The GGUF reader on files that are right, wrong and cut off.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{GgufWriter, Meta};
use half::f16;
use sglang_checkpoint::gguf::MetadataValue;
use sglang_checkpoint::{Checkpoint, GgmlType, GgufFile, dequantize};

fn sample() -> GgufWriter {
    GgufWriter::default()
        .text("general.architecture", "llama")
        .meta("a.u8", Meta::U8(250))
        .meta("a.i8", Meta::I8(-3))
        .meta("a.u16", Meta::U16(60_000))
        .meta("a.i16", Meta::I16(-300))
        .meta("a.u32", Meta::U32(7))
        .meta("a.i32", Meta::I32(-7))
        .meta("a.u64", Meta::U64(1 << 40))
        .meta("a.i64", Meta::I64(-1 << 40))
        .meta("a.f32", Meta::F32(1e-5))
        .meta("a.f64", Meta::F64(0.25))
        .meta("a.bool", Meta::Bool(true))
        .meta("a.strings", Meta::Strings(vec!["x".into(), String::new(), "é😀".into()]))
        .meta("a.ints", Meta::I32s(vec![1, -2, 3]))
        .meta("a.floats", Meta::F32s(vec![0.5, -1.5]))
        .meta("a.nested", Meta::Nested(vec![vec![1, 2], vec![], vec![3]]))
        .f32_tensor("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .f32_tensor("b", &[1], &[9.0])
}

fn open(bytes: &[u8]) -> Result<GgufFile, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    GgufFile::open(&path).map_err(|e| e.to_string())
}

#[test]
fn every_value_type_is_read_and_tensors_have_row_major_shapes() {
    for version in [2, 3] {
        let file = open(&GgufWriter { version, ..sample() }.bytes()).unwrap();
        assert_eq!(file.version(), version);
        let m = file.metadata();
        assert_eq!(m.str("general.architecture").unwrap(), "llama");
        let unsigned = ["a.u8", "a.u16", "a.u32", "a.u64"].map(|k| m.u64(k).unwrap());
        assert_eq!(unsigned, [250, 60_000, 7, 1 << 40]);
        let signed = ["a.i8", "a.i16", "a.i32", "a.i64"].map(|k| m.get(k).unwrap().clone());
        assert_eq!(signed, [-3, -300, -7, -1 << 40].map(MetadataValue::Signed));
        assert_eq!((m.f64("a.f32").unwrap(), m.f64("a.f64").unwrap()), (1e-5, 0.25));
        assert_eq!(m.opt_bool("a.bool").unwrap(), Some(true));
        assert_eq!(m.strings("a.strings").unwrap(), ["x", "", "é😀"]);
        assert_eq!(m.opt_integers("a.ints").unwrap().unwrap(), [1, -2, 3]);
        assert_eq!(m.opt_floats("a.floats").unwrap().unwrap(), [0.5, -1.5]);
        assert_eq!(m.opt_array("a.nested").unwrap().unwrap().len, 3);
        assert_eq!(m.opt_str("a.absent").unwrap(), None);
        let w = file.tensor("w").unwrap();
        assert_eq!((w.name, w.shape, w.ggml_type), ("w", &[2, 3][..], GgmlType::F32));
        let mut values = [0.0; 6];
        dequantize(w.ggml_type, w.data, &mut values).unwrap();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(file.names().collect::<Vec<_>>(), ["w", "b"]);
        assert!(file.tensor("none").unwrap_err().to_string().contains("no tensor named `none`"));
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_its_key_and_value() {
    let file = open(&sample().bytes()).unwrap();
    let m = file.metadata();
    let cases = [
        (m.str("a.u32").unwrap_err(), "key `a.u32`: expected text, found 7"),
        (m.u64("a.i32").unwrap_err(), "key `a.i32`: expected a non-negative integer, found -7"),
        (m.u64("a.bool").unwrap_err(), "key `a.bool`: expected a non-negative integer, found true"),
        (
            m.strings("a.ints").unwrap_err(),
            "key `a.ints`: expected an array of texts, found an array of 3 i32",
        ),
        (m.opt_integers("a.floats").unwrap_err(), "key `a.floats`: expected an array of integers, found"),
        (m.opt_u32("a.u64").unwrap_err(), "key `a.u64`: expected a 32-bit integer, found 1099511627776"),
        (m.str("a.absent").unwrap_err(), "key `a.absent` is missing (expected text)"),
    ];
    for (error, expected) in cases {
        let error = error.to_string();
        assert!(error.contains("model.gguf: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused_and_never_panics() {
    let bytes = sample().bytes();
    for len in 1..bytes.len() {
        let error = open(&bytes[..len]).unwrap_err();
        assert!(error.contains("model.gguf: ") && error.contains("expected"), "{len}: {error}");
    }
    let error = open(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(error.contains("tensor `b`: expected 4 bytes at offset"), "{error}");
}

#[test]
fn no_changed_byte_makes_the_reader_panic() {
    let bytes = sample().bytes();
    let mut refused = 0;
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut changed = bytes.clone();
            changed[at] = value;
            match open(&changed) {
                Ok(file) => {
                    let m = file.metadata();
                    let _ = (m.opt_strings("a.strings"), m.opt_integers("a.ints"), m.opt_floats("a.floats"));
                    let lengths = file.names().map(|n| file.tensor(n).unwrap().data.len());
                    assert!(lengths.sum::<usize>() <= bytes.len());
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > bytes.len(), "only {refused} changes were noticed");
}

#[test]
fn what_breaks_the_format_is_named() {
    let with = |f: fn(&mut GgufWriter)| {
        let mut writer = sample();
        f(&mut writer);
        open(&writer.bytes()).unwrap_err()
    };
    let cases = [
        (with(|w| w.version = 1), "version: expected 2 or 3, found 1"),
        (with(|w| w.version = 3_u32.swap_bytes()), "version: expected a little-endian file"),
        (with(|w| w.tensors[0].2 = 20), "tensor `w`: expected one of the types F32, F16, BF16, Q4_0"),
        (with(|w| w.tensors[0].2 = 20), "found IQ4_NL (type 20)"),
        (with(|w| w.tensors[0].2 = 2), "tensor `w`: expected rows of whole Q4_0 blocks of 32 elements"),
        (with(|w| w.tensors[0].1 = vec![1; 5]), "tensor `w`: expected 1 to 4 dimensions, found 5"),
        (with(|w| w.tensors[0].1 = vec![u64::MAX, 2]), "tensor `w`: expected rows of whole F32 blocks"),
        (with(|w| w.tensors[1].0 = "w".into()), "tensor `w`: expected one entry, found two"),
        (with(|w| w.meta[1].0 = "a.i8".into()), "metadata key `a.i8`: expected one entry, found two"),
        (with(|w| w.meta.push(("general.alignment".into(), Meta::U32(33)))), "key `general.alignment`"),
        (with(|w| w.meta.push(("split.count".into(), Meta::U16(3)))), "one of 3 parts of a split model"),
    ];
    for (error, expected) in cases {
        assert!(error.contains(expected), "{error}");
    }
    let mut bytes = sample().bytes();
    bytes[0] = b'X';
    assert!(open(&bytes).unwrap_err().contains("magic: expected a GGUF file (`GGUF`), found `XGUF`"));
}

#[test]
fn another_alignment_moves_the_data() {
    let mut writer = sample().meta("general.alignment", Meta::U32(256));
    writer.alignment = 256;
    let file = open(&writer.bytes()).unwrap();
    assert_eq!(file.tensor("b").unwrap().data, 9.0_f32.to_le_bytes());
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    digits.iter().map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

#[test]
fn blocks_of_every_type_decode_to_the_bits_of_the_gguf_package() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/gguf_quants.json")).unwrap();
    for ty in GgmlType::ALL {
        let entry = &fixture[ty.name()];
        let data = hex(entry["data"].as_str().unwrap());
        let expected = hex(entry["values"].as_str().unwrap());
        let mut out = vec![0.0; expected.len() / 4];
        assert!(out.len() >= 96, "{ty}");
        dequantize(ty, &data, &mut out).unwrap();
        let found: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(found, expected, "{ty}");
    }
}

#[test]
fn input_and_output_of_dequantisation_have_to_fit() {
    let error = dequantize(GgmlType::Q8_0, &[0; 33], &mut [0.0; 32]).unwrap_err();
    assert_eq!(error.to_string(), "Q8_0 data: expected a multiple of 34 bytes, found 33");
    let error = dequantize(GgmlType::Q8_0, &[0; 34], &mut [0.0; 31]).unwrap_err();
    assert_eq!(error.to_string(), "Q8_0 data of 32 elements: output holds 31");
    let mut one = [0.0];
    dequantize(GgmlType::F16, &f16::from_f32(-2.5).to_le_bytes(), &mut one).unwrap();
    assert_eq!(one, [-2.5]);
}

#[test]
fn a_path_is_a_file_a_folder_or_an_error_that_says_what_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let error = |path: &std::path::Path| Checkpoint::open(path).unwrap_err().to_string();
    assert!(error(&dir.path().join("none")).contains("no model found: no such file or folder"));
    assert!(error(dir.path()).contains("neither config.json nor a .gguf file"));
    sample().write(&dir.path().join("a.gguf"));
    sample().write(&dir.path().join("mmproj-a.gguf"));
    assert!(matches!(Checkpoint::open(dir.path()), Ok(Checkpoint::Gguf(f)) if f.path().ends_with("a.gguf")));
    sample().write(&dir.path().join("b.gguf"));
    assert!(
        error(dir.path()).contains("the folder has 2 .gguf files (a.gguf, b.gguf); name one of them instead")
    );
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    std::fs::write(dir.path().join("model.safetensors"), "").unwrap();
    assert!(matches!(Checkpoint::open(dir.path()), Ok(Checkpoint::HfFolder(_))));
}
