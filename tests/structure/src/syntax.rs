//! Helpers for Rust's syntax.

use syn::{Attribute, Meta};

/// A path as written, by segments: `["super", "radix_cache", "Node"]`. A glob ends with `*`.
pub type Spelled = Vec<String>;

/// Whether `attributes` contain `#[cfg(test)]`.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string().trim() == "test",
        _ => false,
    })
}
