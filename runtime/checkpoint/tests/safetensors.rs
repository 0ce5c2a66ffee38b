//! Safetensors folders that are whole, sharded, and broken.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::safetensors;
use sglang_checkpoint::SafetensorsIndex;
use sglang_checkpoint::safetensors::Dtype;

const HEADER: &str = r#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}"#;
const DATA: [u8; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(dir.join(name), bytes).unwrap();
}

fn error(dir: &Path) -> String {
    SafetensorsIndex::open(dir).unwrap_err().to_string()
}

#[test]
fn a_single_file_gives_names_shapes_types_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "model.safetensors", &safetensors(HEADER, &DATA));
    let index = SafetensorsIndex::open(dir.path()).unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b"]);
    let (a, b) = (index.tensor("a").unwrap(), index.tensor("b").unwrap());
    assert_eq!((a.dtype, a.shape, a.data), (Dtype::F32, &[2, 1][..], &DATA[..8]));
    assert_eq!((b.dtype, b.shape, b.data), (Dtype::BF16, &[3][..], &DATA[8..]));
    assert!(index.tensor("c").unwrap_err().to_string().contains("no tensor named `c`"));
}

#[test]
fn shards_are_found_through_the_index() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "one.safetensors", &safetensors(HEADER, &DATA));
    let other = r#"{"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    write(dir.path(), "two.safetensors", &safetensors(other, &[7]));
    let map = r#"{"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}}"#;
    write(dir.path(), "model.safetensors.index.json", map.as_bytes());
    let index = SafetensorsIndex::open(dir.path()).unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(index.tensor("c").unwrap().data, [7]);
    assert!(index.file_of("c").unwrap().ends_with("two.safetensors"));
}

#[test]
fn a_broken_index_is_named_with_shard_and_tensor() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        error(dir.path()).contains("neither model.safetensors nor model.safetensors.index.json is there")
    );
    let index = |text: &str| write(dir.path(), "model.safetensors.index.json", text.as_bytes());
    index("{");
    assert!(error(dir.path()).contains("index.json: content: expected valid JSON"));
    index("{}");
    assert!(error(dir.path()).contains("key `weight_map` is missing (expected an object)"));
    index(r#"{"weight_map":{"a":3}}"#);
    assert!(error(dir.path()).contains("key `weight_map.a`: expected a file name, found 3"));
    index(r#"{"weight_map":{"a":"../one.safetensors"}}"#);
    assert!(error(dir.path()).contains("expected a file name without folders"));
    index(r#"{"weight_map":{"a":"one.safetensors"}}"#);
    let missing = error(dir.path());
    assert!(missing.contains("one.safetensors: tensor `a`") && missing.contains("no such file"), "{missing}");
    write(dir.path(), "one.safetensors", &safetensors("{}", &[]));
    assert!(error(dir.path()).contains("one.safetensors: no tensor named `a`"));
}

#[test]
fn a_cut_off_or_corrupt_file_is_refused_with_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let whole = safetensors(HEADER, &DATA);
    let data_start = whole.len() - DATA.len();
    for len in 0..whole.len() {
        write(dir.path(), "model.safetensors", &whole[..len]);
        let error = error(dir.path());
        assert!(error.contains("model.safetensors: "), "{len}: {error}");
        if len >= data_start {
            let tensor = if len < data_start + 8 { "tensor `a`" } else { "tensor `b`" };
            assert!(error.contains(tensor) && error.contains("truncated"), "{len}: {error}");
        }
    }
    let overlapping = HEADER.replace("[8,14]", "[6,12]");
    write(dir.path(), "model.safetensors", &safetensors(&overlapping, &DATA));
    assert!(error(dir.path()).contains("expected valid safetensors metadata"));
    let unknown = HEADER.replace("BF16", "Q7");
    write(dir.path(), "model.safetensors", &safetensors(&unknown, &DATA));
    assert!(error(dir.path()).contains("Q7"));
    let wrong_shape = HEADER.replace("[2,1]", "[2,2]");
    write(dir.path(), "model.safetensors", &safetensors(&wrong_shape, &DATA));
    assert!(error(dir.path()).contains("expected valid safetensors metadata"));
}
