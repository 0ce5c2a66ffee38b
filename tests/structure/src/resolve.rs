//! Resolves a path in the code to the module that defines the item.

use crate::module::{Crate, ItemKind, Module};

/// One module uses an item that another one defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The module that uses it.
    pub from: Vec<String>,
    /// The module that defines it.
    pub to: Vec<String>,
    /// The item; `*` for a glob, empty for the module itself.
    pub name: String,
}

/// All uses between modules of `krate`, without duplicates.
pub fn imports(krate: &Crate) -> Vec<Import> {
    let mut found = Vec::new();
    for (from, module) in &krate.modules {
        for spelled in &module.references {
            if let Some((to, name)) = resolve(krate, from, spelled, 0)
                && to != *from
            {
                found.push(Import { from: from.clone(), to, name });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

impl Import {
    /// The kind of what is imported, if it is an item.
    pub fn kind(&self, krate: &Crate) -> Option<ItemKind> {
        krate.modules.get(&self.to).and_then(|module| module.items.get(&self.name)).copied()
    }
}

/// Deepest chain of re-exports that is followed.
const MAX_DEPTH: usize = 16;

/// The module that defines the item `spelled` in `from`, and the item's name. `None` for names of other crates and for
/// local names.
fn resolve(
    krate: &Crate,
    from: &[String],
    spelled: &[String],
    depth: usize,
) -> Option<(Vec<String>, String)> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (first, mut rest) = spelled.split_first()?;
    let mut at = match first.as_str() {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => {
            let mut at = parent(from)?;
            while let Some((next, tail)) = rest.split_first().filter(|(next, _)| *next == "super") {
                debug_assert_eq!(next, "super");
                (at, rest) = (parent(&at)?, tail);
            }
            at
        }
        name => {
            let module = krate.modules.get(from)?;
            if module.children.iter().any(|child| child == name) {
                rest = spelled;
                from.to_vec()
            } else {
                // A name that `use` binds was counted as an import there, unless it is a module whose path continues.
                let bound = module.uses.get(name).filter(|bound| bound.as_slice() != [name])?;
                let full: Vec<String> = bound.iter().chain(rest).cloned().collect();
                return resolve(krate, from, &full, depth + 1);
            }
        }
    };
    loop {
        let module = krate.modules.get(&at)?;
        let Some((name, tail)) = rest.split_first() else {
            return Some((at, String::new()));
        };
        if module.children.iter().any(|child| child == name) {
            at.push(name.clone());
            rest = tail;
            continue;
        }
        return in_module(krate, &at, module, name, tail, depth);
    }
}

/// Finds `name` in a module without such a child: an item, a re-export, or part of a glob.
fn in_module(
    krate: &Crate,
    at: &[String],
    module: &Module,
    name: &str,
    tail: &[String],
    depth: usize,
) -> Option<(Vec<String>, String)> {
    if name == "*" || module.items.contains_key(name) {
        return Some((at.to_vec(), name.to_owned()));
    }
    if let Some(bound) = module.uses.get(name) {
        let full: Vec<String> = bound.iter().chain(tail).cloned().collect();
        return resolve(krate, at, &full, depth + 1);
    }
    let globs = module.uses.values().filter(|bound| bound.last().is_some_and(|last| last == "*"));
    globs.into_iter().find_map(|bound| {
        let mut full = bound[..bound.len() - 1].to_vec();
        full.push(name.to_owned());
        full.extend(tail.iter().cloned());
        resolve(krate, at, &full, depth + 1)
    })
}

fn parent(of: &[String]) -> Option<Vec<String>> {
    of.split_last().map(|(_, parent)| parent.to_vec())
}
