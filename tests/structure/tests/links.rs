//! Every link in the documents is valid.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use sglang_structure::{broken, local_links};

fn markdown_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            markdown_files(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    markdown_files(&root, &mut files);
    assert!(files.iter().any(|file| file.ends_with("README.md")));
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        wrong.extend(local_links(&text).into_iter().filter_map(|target| broken(&file, target)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_link_to_a_missing_file_or_heading_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.md");
    let text = "# One `two`, three\n[a](#one-two-three) [b](b.md) [c](#no) [d](https://x.y/z)\n```\n[e](f.md)\n```\n";
    fs::write(&file, text).unwrap();
    let links = local_links(text);
    assert_eq!(links, ["#one-two-three", "b.md", "#no"]);
    let found: Vec<bool> = links.iter().map(|target| broken(&file, target).is_some()).collect();
    assert_eq!(found, [false, true, true]);
}
