//! Collects every path that an item mentions.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, ItemUse, Macro, UseTree};

use crate::syntax::{Spelled, is_test_only};

/// Adds the paths in `item` to `references`.
pub(crate) fn collect(item: &Item, references: &mut Vec<Spelled>) {
    Collector { references }.visit_item(item);
}

struct Collector<'a> {
    references: &'a mut Vec<Spelled>,
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.references.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &mut Vec::new());
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test_only(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}
}

impl Collector<'_> {
    fn add_tree(&mut self, tree: &UseTree, prefix: &mut Spelled) {
        let with = |prefix: &Spelled, name: String| [prefix.as_slice(), &[name]].concat();
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Name(name) if name.ident == "self" => self.references.push(prefix.clone()),
            UseTree::Name(name) => self.references.push(with(prefix, name.ident.to_string())),
            UseTree::Rename(rename) => self.references.push(with(prefix, rename.ident.to_string())),
            UseTree::Glob(_) => self.references.push(with(prefix, "*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, prefix)),
        }
    }

    /// A macro's arguments need not be valid Rust, so every run of identifiers joined by `::` is taken.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut run: Spelled = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_run(&mut run);
                    }
                    run.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_run(&mut run);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.end_run(&mut run);
    }

    fn end_run(&mut self, run: &mut Spelled) {
        if !run.is_empty() {
            self.references.push(std::mem::take(run));
        }
    }
}
