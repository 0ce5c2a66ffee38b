//! The workspace obeys the two import rules (see the crate's documentation).
//!
//! `cargo nextest run --release -p sglang-structure` prints every import that violates one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sglang_structure::{Crate, Import, function_imports, imports, sibling_cycles};

/// Folders below `folder` with a `Cargo.toml` and sources, except vendored projects.
fn crates(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_dir() || ["target", "vendor"].contains(&name.as_str()) || name.starts_with('.') {
            continue;
        }
        if path.join("Cargo.toml").is_file() && path.join("src").is_dir() {
            found.push(path.clone());
        }
        crates(&path, found);
    }
}

fn shown(import: &Import) -> String {
    let name = if import.name.is_empty() { String::new() } else { format!("::{}", import.name) };
    format!("    {} -> {}{name}", import.from.join("::"), import.to.join("::"))
}

/// Every violation in `krate`, one line each, with the imports that cause it.
fn breaks(name: &str, krate: &Crate) -> Vec<(String, Vec<String>)> {
    let imports = imports(krate);
    let cycles = sibling_cycles(&imports).into_iter().map(|cycle| {
        let parent = [&[name.to_owned()], cycle.parent.as_slice()].concat().join("::");
        let line = format!("{parent}: cycle of {}", cycle.members.join(", "));
        (line, cycle.imports.iter().map(shown).collect())
    });
    let functions = function_imports(krate, &imports).into_iter().map(|import| {
        let line = format!("{name}: {} calls {} of its ancestor", import.from.join("::"), import.name);
        (line, Vec::new())
    });
    cycles.chain(functions).collect()
}

/// `known.txt` lists the violations that are still to be removed; it may only become shorter.
#[test]
fn no_imports_form_a_cycle() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = Vec::new();
    crates(&here.join("../.."), &mut folders);
    assert!(folders.len() > 20, "found only {} crates", folders.len());
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders {
        let krate = Crate::read(&folder).unwrap_or_else(|error| panic!("{error:#}"));
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.extend(breaks(&name, &krate));
    }
    let known = std::fs::read_to_string(here.join("tests/known.txt")).unwrap();
    let known: Vec<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let mut wrong: Vec<String> = known
        .iter()
        .filter(|line| !found.contains_key(**line))
        .map(|line| format!("mended, take it out of known.txt: {line}"))
        .collect();
    for (line, imports) in found.into_iter().filter(|(line, _)| !known.contains(&line.as_str())) {
        wrong.push(line);
        wrong.extend(imports);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
