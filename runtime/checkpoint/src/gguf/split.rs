//! Models split into several files by `llama-gguf-split`. The first file has all metadata; each file states its number.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::part::GgufPart;
use crate::error::CheckpointError;
use crate::part_name::PartName;

/// Opens all parts of the model that the file at `path` belongs to, in order; one part for a model that is not split.
pub(super) fn open_all(path: &Path) -> Result<Vec<GgufPart>, CheckpointError> {
    let named = GgufPart::open(path)?;
    let count = split_key(&named, "split.count")?.unwrap_or(1);
    if count <= 1 {
        return Ok(vec![named]);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let part = PartName::parse(&name).filter(|part| u64::from(part.count()) == count).ok_or_else(|| {
        CheckpointError::Unsupported {
            path: path.to_owned(),
            what: format!(
                "one of {count} parts of a split model, whose names must end in -00001-of-{count:05}.gguf and so on for \
                 the others to be found"
            ),
        }
    })?;
    let sibling = |number: u32| path.with_file_name(part.of(number));
    let missing: Vec<PathBuf> = (1..=part.count()).map(sibling).filter(|path| !path.is_file()).collect();
    if let Some(first) = missing.first() {
        let others = match missing.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        return Err(CheckpointError::malformed(
            path,
            format!("split model of {count} parts"),
            format!("{}{others}", first.display()),
            "no such file",
        ));
    }
    let mut parts = Vec::with_capacity(part.count() as usize);
    for number in 1..part.number() {
        parts.push(GgufPart::open(&sibling(number))?);
    }
    parts.push(named);
    for number in part.number() + 1..=part.count() {
        parts.push(GgufPart::open(&sibling(number))?);
    }
    check(&parts, count)?;
    Ok(parts)
}

/// Checks that all parts state the same count and consecutive numbers, and that each tensor occurs once.
fn check(parts: &[GgufPart], count: u64) -> Result<(), CheckpointError> {
    let mut seen = HashSet::new();
    for (number, part) in (0..).zip(parts) {
        for (key, expected) in [("split.count", count), ("split.no", number)] {
            let found = split_key(part, key)?;
            if found != Some(expected) {
                let found = found.map_or("no such key".to_owned(), |n| n.to_string());
                return Err(CheckpointError::wrong_key(part.path(), key, expected.to_string(), found));
            }
        }
        if let Some(twice) = part.names.iter().find(|name| !seen.insert(name.as_str())) {
            let place = format!("tensor `{twice}`");
            return Err(CheckpointError::malformed(part.path(), place, "one entry in all parts", "two"));
        }
    }
    let Some(first) = parts.first() else { return Ok(()) };
    match split_key(first, "split.tensors.count")? {
        Some(expected) if expected != seen.len() as u64 => Err(CheckpointError::malformed(
            first.path(),
            "split model",
            format!("{expected} tensors in its {count} parts"),
            seen.len().to_string(),
        )),
        _ => Ok(()),
    }
}

fn split_key(part: &GgufPart, key: &str) -> Result<Option<u64>, CheckpointError> {
    part.metadata().opt_u64(key)
}
