//! The GGUF reader on valid, invalid and truncated files.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{GgufWriter, Meta};
use half::f16;
use sglang_checkpoint::gguf::MetadataValue;
use sglang_checkpoint::{Checkpoint, GgmlType, GgufFile, dequantize};
use sha2::{Digest, Sha256};

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
fn format_errors_name_the_invalid_part() {
    let with = |f: fn(&mut GgufWriter)| {
        let mut writer = sample();
        f(&mut writer);
        open(&writer.bytes()).unwrap_err()
    };
    let cases = [
        (with(|w| w.version = 1), "version: expected 2 or 3, found 1"),
        (with(|w| w.version = 3_u32.swap_bytes()), "version: expected a little-endian file"),
        (with(|w| w.tensors[0].2 = 28), "tensor `w`: expected one of the types F32, F16, BF16, Q4_0"),
        (with(|w| w.tensors[0].2 = 28), "found F64 (type 28)"),
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

/// The same pseudo-random blocks that `scripts/fixtures.d/gguf_quants.py` makes.
fn many_blocks(ty: GgmlType, count: usize, scales: &[usize]) -> Vec<u8> {
    let mut state = ty.id();
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut data: Vec<u8> = (0..count * ty.block_bytes()).map(|_| next()).collect();
    for block in data.chunks_mut(ty.block_bytes()) {
        scales.iter().for_each(|offset| block[offset + 1] &= 0xBF);
        if ty == GgmlType::IQ1_M {
            block[55] &= 0xBF;
        }
    }
    data
}

#[test]
fn blocks_of_every_type_decode_to_the_bits_of_the_gguf_package() {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/gguf_quants.json")).unwrap();
    for ty in GgmlType::ALL {
        let entry = &fixture[ty.name()];
        if let Some(count) = entry["blocks"].as_u64() {
            let number = |v: &serde_json::Value| v.as_u64().unwrap() as usize;
            let scales: Vec<usize> = entry["scales"].as_array().unwrap().iter().map(number).collect();
            let mut out = vec![0.0; count as usize * ty.block_len()];
            dequantize(ty, &many_blocks(ty, count as usize, &scales), &mut out).unwrap();
            for (x, expected) in out.iter().zip(entry["first"].as_array().unwrap()) {
                assert_eq!(f64::from(*x), expected.as_f64().unwrap(), "{ty}");
            }
            let bytes: Vec<u8> = out.iter().flat_map(|v| v.to_le_bytes()).collect();
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, entry["sha256"], "{ty}");
            continue;
        }
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
    for other in ["mmproj-a.gguf", "MMProj-b.GGUF", "a.imatrix.gguf", "a-Imatrix.gguf"] {
        sample().write(&dir.path().join(other));
    }
    assert!(matches!(Checkpoint::open(dir.path()), Ok(Checkpoint::Gguf(f)) if f.path().ends_with("a.gguf")));
    sample().write(&dir.path().join("b.gguf"));
    assert!(
        error(dir.path()).contains("the folder has 2 .gguf files (a.gguf, b.gguf); name one of them instead")
    );
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    std::fs::write(dir.path().join("model.safetensors"), "").unwrap();
    assert!(matches!(Checkpoint::open(dir.path()), Ok(Checkpoint::HfFolder(_))));
}

/// Writes `sample` as a split model of three files: the first has only metadata, the others one tensor each.
fn write_split(dir: &std::path::Path, stem: &str, change: impl Fn(usize, &mut GgufWriter)) {
    for number in 0..3_usize {
        let mut part = sample();
        part.tensors =
            sample().tensors.into_iter().skip(number.wrapping_sub(1)).take(number.min(1)).collect();
        if number > 0 {
            part.meta.clear();
        }
        part = part.meta("split.no", Meta::U16(number as u16)).meta("split.count", Meta::U16(3));
        part = part.meta("split.tensors.count", Meta::I32(2));
        change(number, &mut part);
        part.write(&dir.join(format!("{stem}-{:05}-of-00003.gguf", number + 1)));
    }
}

#[test]
fn every_part_of_a_split_model_opens_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "m", |_, _| {});
    let part = |number: usize| dir.path().join(format!("m-{number:05}-of-00003.gguf"));
    for number in 1..=3 {
        let file = GgufFile::open(part(number)).unwrap();
        assert_eq!((file.num_parts(), file.path()), (3, part(1).as_path()));
        assert_eq!(file.metadata().str("general.architecture").unwrap(), "llama");
        assert_eq!(file.names().collect::<Vec<_>>(), ["w", "b"]);
        assert_eq!(file.tensor("w").unwrap().shape, [2, 3]);
        assert_eq!(file.tensor("b").unwrap().data, 9.0_f32.to_le_bytes());
        assert_eq!(file.part("b").unwrap().mapped(), 9.0_f32.to_le_bytes());
        assert_eq!((file.file_of("b"), file.file_of("none")), (part(3).as_path(), part(1).as_path()));
    }
    // A folder with one split model opens as that model; a folder with two is an error.
    assert!(matches!(Checkpoint::open(dir.path()), Ok(Checkpoint::Gguf(f)) if f.path() == part(1)));
    write_split(dir.path(), "n", |_, _| {});
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("2 .gguf files (m-00001-of-00003.gguf, n-00001-of-00003.gguf)"), "{error}");
}

#[test]
fn errors_in_the_parts_of_a_split_model_are_named() {
    let with = |change: &dyn Fn(usize, &mut GgufWriter), lost: Option<usize>| {
        let dir = tempfile::tempdir().unwrap();
        write_split(dir.path(), "m", change);
        if let Some(number) = lost {
            std::fs::remove_file(dir.path().join(format!("m-{number:05}-of-00003.gguf"))).unwrap();
        }
        let there = if lost == Some(1) { "m-00002-of-00003.gguf" } else { "m-00001-of-00003.gguf" };
        GgufFile::open(dir.path().join(there)).unwrap_err().to_string()
    };
    let key = |part: usize, key: &'static str, value: Meta| {
        move |number: usize, w: &mut GgufWriter| {
            let slot = w.meta.iter_mut().find(|(k, _)| number == part && k == key);
            if let Some(slot) = slot {
                slot.1 = value.clone();
            }
        }
    };
    let nothing = |_: usize, _: &mut GgufWriter| {};
    let error = with(&nothing, Some(3));
    assert!(
        error.contains("split model of 3 parts: expected ")
            && error.contains("m-00003-of-00003.gguf, found no")
    );
    assert!(with(&nothing, Some(1)).contains("m-00001-of-00003.gguf, found no such file"));
    let error = with(&key(2, "split.no", Meta::U16(0)), None);
    assert!(error.contains("m-00003-of-00003.gguf: key `split.no`: expected 2, found 0"), "{error}");
    let error = with(&key(1, "split.count", Meta::U16(2)), None);
    assert!(error.contains("m-00002-of-00003.gguf: key `split.count`: expected 3, found 2"), "{error}");
    let error = with(&key(0, "split.tensors.count", Meta::I32(5)), None);
    assert!(error.contains("expected 5 tensors in its 3 parts, found 2"), "{error}");
    let twice = |number: usize, w: &mut GgufWriter| w.tensors = sample().tensors.split_off(number.min(1));
    assert!(with(&twice, None).contains("tensor `b`: expected one entry in all parts, found two"));
}
