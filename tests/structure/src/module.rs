//! The modules of a crate: their items, their `use` items, and the paths in their code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::{Attribute, Item, UseTree};

use crate::references;
use crate::syntax::{Spelled, is_test_only};

/// The kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A struct, an enum, a union, a trait or an alias.
    Type,
    /// A constant.
    Const,
    /// A function.
    Function,
    /// A static, which may hold state.
    Static,
    /// A macro.
    Macro,
}

/// A module.
#[derive(Debug, Default)]
pub struct Module {
    /// The items that it defines.
    pub items: BTreeMap<String, ItemKind>,
    /// Names of its child modules.
    pub children: Vec<String>,
    /// The names that its `use` items bind, and their paths.
    pub uses: BTreeMap<String, Spelled>,
    /// Every path that its code mentions, including `use` items.
    pub references: Vec<Spelled>,
}

/// A crate: its modules by their path below the root; the root has the empty path.
#[derive(Debug)]
pub struct Crate {
    /// Folder that holds its `Cargo.toml`.
    pub folder: PathBuf,
    /// The modules.
    pub modules: BTreeMap<Vec<String>, Module>,
}

impl Crate {
    /// Reads the crate in `folder`, from `src/lib.rs` or else `src/main.rs`.
    ///
    /// # Errors
    /// If a file is missing or is not valid Rust.
    pub fn read(folder: &Path) -> Result<Self> {
        let src = folder.join("src");
        let root = ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|path| path.is_file());
        let root =
            root.with_context(|| format!("{} has neither src/lib.rs nor src/main.rs", folder.display()))?;
        let mut this = Self { folder: folder.to_owned(), modules: BTreeMap::new() };
        this.read_file(&root, &src, Vec::new())?;
        Ok(this)
    }

    /// Reads a module from its file; `below` is the folder with its children.
    fn read_file(&mut self, file: &Path, below: &Path, path: Vec<String>) -> Result<()> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        self.read_items(&parsed.items, below, path)
    }

    fn read_items(&mut self, items: &[Item], below: &Path, path: Vec<String>) -> Result<()> {
        let mut module = Module::default();
        for item in items.iter().filter(|item| !is_test_only(attributes(item))) {
            if let Item::Mod(child) = item {
                let name = child.ident.to_string();
                module.children.push(name.clone());
                let child_path = [path.as_slice(), std::slice::from_ref(&name)].concat();
                let folder = below.join(&name);
                match &child.content {
                    Some((_, items)) => self.read_items(items, &folder, child_path)?,
                    None => {
                        let files = [below.join(format!("{name}.rs")), folder.join("mod.rs")];
                        let Some(file) = files.iter().find(|file| file.is_file()) else {
                            bail!("no file for module `{name}` below {}", below.display());
                        };
                        self.read_file(file, &folder, child_path)?;
                    }
                }
                continue;
            }
            if let Some((name, kind)) = declared(item) {
                module.items.insert(name, kind);
            }
            if let Item::Use(item) = item {
                bind(&item.tree, &mut Vec::new(), &mut module.uses);
            }
            references::collect(item, &mut module.references);
        }
        self.modules.insert(path, module);
        Ok(())
    }
}

/// Adds the names that a `use` tree binds. Globs are kept under names that are not identifiers.
fn bind(tree: &UseTree, prefix: &mut Spelled, uses: &mut BTreeMap<String, Spelled>) {
    let with = |prefix: &Spelled, name: String| [prefix.as_slice(), &[name]].concat();
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            bind(&path.tree, prefix, uses);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            if let Some(last) = prefix.last() {
                uses.insert(last.clone(), prefix.clone());
            }
        }
        UseTree::Name(name) => {
            uses.insert(name.ident.to_string(), with(prefix, name.ident.to_string()));
        }
        UseTree::Rename(rename) => {
            uses.insert(rename.rename.to_string(), with(prefix, rename.ident.to_string()));
        }
        UseTree::Glob(_) => {
            uses.insert(format!("* {}", prefix.join("::")), with(prefix, "*".to_owned()));
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| bind(tree, prefix, uses)),
    }
}

fn declared(item: &Item) -> Option<(String, ItemKind)> {
    Some(match item {
        Item::Struct(item) => (item.ident.to_string(), ItemKind::Type),
        Item::Enum(item) => (item.ident.to_string(), ItemKind::Type),
        Item::Union(item) => (item.ident.to_string(), ItemKind::Type),
        Item::Trait(item) => (item.ident.to_string(), ItemKind::Type),
        Item::Type(item) => (item.ident.to_string(), ItemKind::Type),
        Item::Const(item) => (item.ident.to_string(), ItemKind::Const),
        Item::Static(item) => (item.ident.to_string(), ItemKind::Static),
        Item::Fn(item) => (item.sig.ident.to_string(), ItemKind::Function),
        Item::Macro(item) => (item.ident.as_ref()?.to_string(), ItemKind::Macro),
        _ => return None,
    })
}

/// Attributes of an item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_tree_binds_each_of_its_names() {
        let item: syn::ItemUse = syn::parse_str("use a::{self, b::C as D, e::*, f};").unwrap();
        let mut uses = BTreeMap::new();
        bind(&item.tree, &mut Vec::new(), &mut uses);
        let spelled: Vec<String> =
            uses.iter().map(|(name, path)| format!("{name}={}", path.join("::"))).collect();
        assert_eq!(spelled, ["* a::e=a::e::*", "D=a::b::C", "a=a", "f=a::f"]);
    }
}
