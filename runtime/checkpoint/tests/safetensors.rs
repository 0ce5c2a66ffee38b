//! Safetensors folders with one file, with shards, and invalid ones.
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
}

/// A file with one tensor of one byte.
fn one_byte(name: &str, byte: u8) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
    safetensors(&header, &[byte])
}

#[test]
fn what_shards_hold_counts_and_not_what_the_index_says_of_it() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "one.safetensors", &one_byte("a", 1));
    let two = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    write(dir.path(), "two.safetensors", &safetensors(two, &[2, 3]));
    // A byte-order mark, a comment, a tensor that does not exist, one in another shard, and one that the index does not
    // name.
    let map =
        "\u{feff}{ // shards\n\"weight_map\": {\"a\": \"two.safetensors\", \"gone\": \"one.safetensors\"}}";
    write(dir.path(), "model.safetensors.index.json", map.as_bytes());
    assert!(
        SafetensorsIndex::open(dir.path()).unwrap().names().eq(["a", "b"]),
        "a shard that the index names is read whole"
    );
    let index = |map: &str| {
        write(dir.path(), "model.safetensors.index.json", map.as_bytes());
        SafetensorsIndex::open(dir.path()).unwrap()
    };
    for (meant, byte) in [("one", 1), ("two", 2)] {
        let other = if meant == "one" { "two" } else { "one" };
        let index = index(&format!(
            r#"{{"weight_map":{{"a":"{meant}.safetensors","b":"{other}.safetensors","gone":"{other}.safetensors"}}}}"#
        ));
        assert_eq!(index.tensor("a").unwrap().data, [byte]);
        assert_eq!(index.tensor("b").unwrap().data, [3]);
        let error = index.tensor("gone").unwrap_err().to_string();
        assert!(error.contains("no tensor named `gone`"), "{error}");
    }
}

#[test]
fn shards_need_no_index() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "model-00001-of-00002.safetensors", &one_byte("a", 1));
    let missing = error(dir.path());
    assert!(missing.contains("expected 2 shards, found no model-00002-of-00002.safetensors"), "{missing}");
    write(dir.path(), "model-00002-of-00002.safetensors", &one_byte("b", 2));
    write(dir.path(), "adapter_model.safetensors", &one_byte("c", 3));
    write(dir.path(), "consolidated.safetensors", &one_byte("d", 4));
    let index = SafetensorsIndex::open(dir.path()).unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(SafetensorsIndex::exists_in(dir.path()));
    write(dir.path(), "copy.safetensors", &one_byte("b", 2));
    let twice = error(dir.path());
    assert!(twice.contains("tensor `b`") && twice.contains("copy.safetensors"), "{twice}");
    let alone = tempfile::tempdir().unwrap();
    write(alone.path(), "weights.safetensors", &one_byte("a", 1));
    assert_eq!(SafetensorsIndex::open(alone.path()).unwrap().tensor("a").unwrap().data, [1]);
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
