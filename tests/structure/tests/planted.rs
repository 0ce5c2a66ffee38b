//! The checker finds planted cycles, however the imports are written.
#![allow(clippy::unwrap_used)]

use std::fs;

use sglang_structure::{Crate, function_imports, imports, sibling_cycles};

/// A crate with these files below `src`.
fn krate(files: &[(&str, &str)]) -> Crate {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join("src").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Crate::read(folder.path()).unwrap()
}

fn cycles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    sibling_cycles(&imports(&krate(files))).into_iter().map(|cycle| cycle.members).collect()
}

#[test]
fn siblings_that_import_each_other_are_a_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B(crate::c::C);"),
        ("c.rs", "use super::a::A as Other; pub struct C;"),
    ];
    assert_eq!(cycles(&files), [["a", "b", "c"]]);
    assert!(
        cycles(&files[..3].iter().copied().chain([("c.rs", "pub struct C;")]).collect::<Vec<_>>()).is_empty()
    );
}

#[test]
fn a_re_export_counts_for_the_module_that_defines_the_item() {
    let through_the_parent = [
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
        ("a.rs", "use crate::B; pub struct A;"),
        ("b.rs", "use super::A; pub struct B;"),
    ];
    assert_eq!(cycles(&through_the_parent), [["a", "b"]]);
}

#[test]
fn an_import_deep_inside_counts_for_the_siblings_that_it_crosses() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod inner; pub fn h() {}"),
        ("a/inner.rs", "fn f() { let _ = format!(\"{}\", crate::b::NAME); }"),
        ("b.rs", "pub const NAME: &str = \"b\"; fn g() { crate::a::h() }"),
    ];
    assert_eq!(cycles(&files), [["a", "b"]]);
}

#[test]
fn tests_do_not_count() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b::B;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ];
    assert!(cycles(&files).is_empty());
}

#[test]
fn a_child_may_use_types_of_its_ancestors_but_no_functions() {
    let with = |code: &str| {
        let krate =
            krate(&[("lib.rs", "mod a; pub struct T; pub const N: u8 = 1; fn f() {}"), ("a.rs", code)]);
        let imports = imports(&krate);
        function_imports(&krate, &imports).len()
    };
    assert_eq!(with("use super::{N, T}; struct S(T);"), 0);
    assert_eq!(with("fn g() { super::f() }"), 1);
    assert_eq!(with("use crate::f as h;"), 1);
}
