//! Finds cycles between sibling modules, and functions that children import from their ancestors.

use std::collections::{BTreeMap, BTreeSet};

use crate::module::{Crate, ItemKind};
use crate::resolve::Import;

/// Siblings that depend on each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Their parent.
    pub parent: Vec<String>,
    /// Their names.
    pub members: Vec<String>,
    /// The imports between them.
    pub imports: Vec<Import>,
}

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// All groups of siblings that depend on each other.
pub fn sibling_cycles(imports: &[Import]) -> Vec<Cycle> {
    let mut graphs: BTreeMap<&[String], Graph<'_>> = BTreeMap::new();
    for import in imports {
        if let Some((parent, from, to)) = crossing(import) {
            graphs.entry(parent).or_default().entry(from).or_default().insert(to);
        }
    }
    let mut cycles = Vec::new();
    for (parent, graph) in graphs {
        for members in components(&graph) {
            let inside = |import: &&Import| {
                crossing(import).is_some_and(|(at, from, to)| {
                    at == parent && members.contains(&from) && members.contains(&to)
                })
            };
            cycles.push(Cycle {
                parent: parent.to_vec(),
                imports: imports.iter().filter(inside).cloned().collect(),
                members: members.into_iter().map(str::to_owned).collect(),
            });
        }
    }
    cycles
}

/// Imports of functions and statics from an ancestor.
pub fn function_imports<'a>(krate: &Crate, imports: &'a [Import]) -> Vec<&'a Import> {
    let wrong = |import: &&Import| {
        import.from.starts_with(&import.to)
            && matches!(import.kind(krate), Some(ItemKind::Function | ItemKind::Static))
    };
    imports.iter().filter(wrong).collect()
}

/// The parent below which `import` leads from one sibling to another, and these two. `None` if one of its modules
/// contains the other.
fn crossing(import: &Import) -> Option<(&[String], &str, &str)> {
    let shared = import.from.iter().zip(&import.to).take_while(|(a, b)| a == b).count();
    let (from, to) = (import.from.get(shared)?, import.to.get(shared)?);
    Some((&import.from[..shared], from, to))
}

/// Strongly connected components of more than one node: nodes that reach each other.
fn components<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let reach = |start: &'a str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(node) = open.pop() {
            for next in graph.get(node).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|node| (*node, reach(node))).collect();
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for (node, from_here) in &reached {
        if done.contains(node) || !from_here.contains(node) {
            continue;
        }
        let members: Vec<&str> = from_here
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(node)))
            .collect();
        done.extend(members.iter().copied());
        found.push(members);
    }
    found
}
