//! Resolves references.
//!
//! The library `referencing` accepts only references that are valid URIs. Generated schemas contain names such as
//! `#/$defs/List<Foo>`, `#/$defs/a b` and `#/$defs/é`, so this resolver takes references literally.

use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Keywords whose values are data and contain no schemas.
const DATA: [&str; 5] = ["enum", "const", "default", "example", "examples"];

/// A document, and the names by which references can address schemas in it.
#[derive(Clone, Debug)]
pub(crate) struct Document<'v> {
    pub(crate) root: &'v Value,
    /// `$id`s as written, and anchors after a `#`. The first use of a name wins.
    names: Arc<HashMap<Name<'v>, &'v Value>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Name<'v> {
    Id(&'v str),
    Anchor(&'v str),
}

/// The target of a reference, and the enclosing schema with an `$id`, to which the target's own references are
/// relative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'v> {
    pub(crate) base: &'v Value,
    pub(crate) node: &'v Value,
}

impl<'v> Document<'v> {
    pub(crate) fn new(root: &'v Value) -> Self {
        let mut names = HashMap::new();
        collect_names(root, &mut names);
        Self { root, names: Arc::new(names) }
    }

    /// Resolves a reference inside the resource `base`.
    pub(crate) fn resolve(&self, base: &'v Value, reference: &str) -> Option<Target<'v>> {
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let found = match resource {
            "" => pointed(base, fragment).or_else(|| pointed(self.root, fragment)),
            id => self.resource(id).and_then(|base| pointed(base, fragment)),
        };
        let target = found.or_else(|| {
            let node = *self.names.get(&Name::Anchor(fragment))?;
            Some(Target { base: enter(node, base), node })
        })?;
        matches!(target.node, Value::Object(_) | Value::Bool(_)).then_some(target)
    }

    /// The schema whose `$id` is `id`, or ends with `id` if that is relative.
    fn resource(&self, id: &str) -> Option<&'v Value> {
        if let Some(node) = self.names.get(&Name::Id(id)) {
            return Some(node);
        }
        let relative = id.trim_start_matches("./");
        self.names.iter().find_map(|(name, node)| match name {
            Name::Id(whole) => {
                let before = whole.strip_suffix(relative)?;
                (before.ends_with('/') && !relative.contains("://")).then_some(*node)
            }
            Name::Anchor(_) => None,
        })
    }
}

/// The resource that references inside `node` are relative to.
pub(crate) fn enter<'v>(node: &'v Value, base: &'v Value) -> &'v Value {
    let id = node.get("$id").and_then(Value::as_str);
    if id.is_some_and(|id| !id.starts_with('#')) { node } else { base }
}

/// The target of a reference's fragment inside `base`.
fn pointed<'v>(base: &'v Value, fragment: &str) -> Option<Target<'v>> {
    if fragment.is_empty() {
        return Some(Target { base, node: base });
    }
    let decoded = percent_decode_str(fragment).decode_utf8().ok();
    let follow = |pointer: &str| {
        let mut target = Target { base, node: base };
        for token in pointer.strip_prefix('/')?.split('/') {
            let name = token.replace("~1", "/").replace("~0", "~");
            let node = match target.node {
                Value::Object(map) => map.get(&name)?,
                Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
            target = Target { base: enter(node, target.base), node };
        }
        Some(target)
    };
    decoded.and_then(|pointer| follow(&pointer)).or_else(|| follow(fragment))
}

fn collect_names<'v>(value: &'v Value, names: &mut HashMap<Name<'v>, &'v Value>) {
    match value {
        Value::Object(map) => {
            let text = |keyword: &str| map.get(keyword).and_then(Value::as_str);
            for id in ["$id", "id"].into_iter().filter_map(text) {
                let name = match id.strip_prefix('#') {
                    Some(anchor) => Name::Anchor(anchor),
                    None => Name::Id(id.trim_end_matches('#')),
                };
                names.entry(name).or_insert(value);
            }
            for anchor in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
                names.entry(Name::Anchor(anchor)).or_insert(value);
            }
            for (keyword, inner) in map {
                if !DATA.contains(&keyword.as_str()) {
                    collect_names(inner, names);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_names(inner, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_spelling_of_a_reference_finds_its_schema() {
        let root = json!({
            "$id": "https://example.com/root.json",
            "$defs": {
                "N": {"title": "N"}, "é": {"title": "é"}, "a b": {"title": "a b"}, "List<Foo>": {"title": "list"},
                "a/b~c": {"title": "escaped"}, "a%20b": {"title": "percent"},
                "anchored": {"$anchor": "spot", "title": "spot"},
                "old": {"$id": "#old", "title": "old"},
                "inner": {"$id": "inner.json", "title": "inner", "$defs": {"x": {"title": "x"}}},
            },
            "items": [{"title": "first"}],
        });
        let document = Document::new(&root);
        let title = |reference: &str| {
            document.resolve(&root, reference).and_then(|target| target.node["title"].as_str()).unwrap_or("-")
        };
        for (reference, want) in [
            ("#/$defs/N", "N"),
            ("#/%24defs/N", "N"),
            ("#/$defs/é", "é"),
            ("#/$defs/%C3%A9", "é"),
            ("#/$defs/a b", "a b"),
            ("#/$defs/a%2520b", "percent"),
            ("#/$defs/List<Foo>", "list"),
            ("#/$defs/List%3CFoo%3E", "list"),
            ("#/$defs/a~1b~0c", "escaped"),
            ("#/items/0", "first"),
            ("#spot", "spot"),
            ("#old", "old"),
            ("inner.json", "inner"),
            ("inner.json#/$defs/x", "x"),
            ("https://example.com/root.json#/$defs/N", "N"),
            ("root.json#/$defs/N", "N"),
            ("#/$defs/missing", "-"),
            ("other.json", "-"),
            ("#/items", "-"),
            ("#nowhere", "-"),
        ] {
            assert_eq!(title(reference), want, "{reference}");
        }
        let inner = document.resolve(&root, "inner.json").unwrap();
        assert_eq!(document.resolve(inner.base, "#/$defs/x").unwrap().node["title"], "x");
        assert!(std::ptr::eq(document.resolve(&root, "#").unwrap().node, &root));
    }
}
