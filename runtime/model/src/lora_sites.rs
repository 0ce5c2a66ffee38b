//! The layers of a model that LoRA adapters can change.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use sglang_checkpoint::lora::merged_module;

/// The kind of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// A linear layer.
    Linear,
    /// An embedding: inputs are token ids, outputs are rows of a table.
    Embedding,
}

/// The outputs of a layer that belong to one module, such as `q_proj` within `qkv_proj`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSite {
    /// Kind of the layer.
    pub kind: SiteKind,
    /// Index of the layer among those that can be changed.
    pub site: usize,
    /// Output columns of the module within the layer.
    pub columns: Range<usize>,
    /// Inputs of the layer; for an embedding, the size of the vocabulary.
    pub in_features: usize,
}

/// All modules by name. Equal for models of the same configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoraSites {
    modules: HashMap<String, ModuleSite>,
    sites: usize,
}

/// Name of the embedding.
pub const EMBEDDING: &str = "embed_tokens";
/// Name of the output head.
pub const HEAD: &str = "lm_head";

/// A module's name from `layers.` on, such as `layers.3.mlp.up_proj`. The prefix differs between checkpoints, and is
/// longer for the text part of multimodal ones.
pub fn name_in_layers(name: &str) -> Option<&str> {
    if name.starts_with("layers.") {
        return Some(name);
    }
    name.find(".layers.").and_then(|at| name.get(at + 1..))
}

/// Like [`name_in_layers`], but also accepts the embedding and the output head by any of their names.
fn name_in_model(name: &str) -> Option<&str> {
    name_in_layers(name).or_else(|| match merged_module(name) {
        outside @ (EMBEDDING | HEAD) => Some(outside),
        _ => None,
    })
}

impl LoraSites {
    /// Adds a layer with the outputs of several modules (name, outputs) and returns its index.
    pub(crate) fn add(&mut self, parts: &[(&str, usize)], in_features: usize) -> usize {
        let site = self.sites;
        self.sites += 1;
        let mut start = 0;
        let kind = SiteKind::Linear;
        for (name, rows) in parts {
            let columns = start..start + rows;
            start += rows;
            self.enter(name, ModuleSite { kind, site, columns, in_features });
        }
        // An adapter may have been trained on the merged form.
        if let [(first, _), _, ..] = parts
            && let Some((parent, _)) = first.rsplit_once('.')
        {
            let merged = format!("{parent}.{}", merged_module(first));
            self.enter(&merged, ModuleSite { kind, site, columns: 0..start, in_features });
        }
        site
    }

    /// Adds the embedding.
    pub(crate) fn add_embedding(&mut self, vocab_size: usize, hidden_size: usize) {
        let site = self.sites;
        self.sites += 1;
        let (kind, columns) = (SiteKind::Embedding, 0..hidden_size);
        self.enter(EMBEDDING, ModuleSite { kind, site, columns, in_features: vocab_size });
    }

    fn enter(&mut self, name: &str, site: ModuleSite) {
        if let Some(name) = name_in_model(name) {
            self.modules.insert(name.to_owned(), site);
        }
    }

    /// The module with this name, whatever its prefix.
    pub fn find(&self, name: &str) -> Option<&ModuleSite> {
        self.modules.get(name_in_model(name)?)
    }

    /// Number of layers that have modules that can be changed.
    pub fn num_layers(&self) -> usize {
        let layer = |name: &String| name.split('.').nth(1)?.parse::<usize>().ok();
        self.modules.keys().filter_map(layer).max().map_or(0, |last| last + 1)
    }

    /// Names of these modules for `--lora-target-modules`, in merged form.
    pub fn merged_modules(&self) -> BTreeSet<String> {
        self.modules.keys().map(|name| merged_module(name).to_owned()).collect()
    }

    /// Those of them inside layers, which is what PEFT's `all-linear` means.
    pub fn merged_modules_of_layers(&self) -> BTreeSet<String> {
        self.modules
            .keys()
            .filter_map(|name| name_in_layers(name))
            .map(|n| merged_module(n).to_owned())
            .collect()
    }

    /// Number of elements of an adapter of this rank that changes all layers of `modules`.
    pub fn numbers(&self, rank: usize, modules: &BTreeSet<String>) -> u64 {
        let numbers = |(name, site): (&String, &ModuleSite)| {
            let last = name.rsplit('.').next().unwrap_or(name);
            let own = merged_module(last) != last || !self.is_merged_form(name, site);
            match modules.contains(merged_module(last)) && own {
                true => (rank * (site.in_features + site.columns.len())) as u64,
                false => 0,
            }
        };
        self.modules.iter().map(numbers).sum()
    }

    /// Whether a name is the merged form of several others.
    fn is_merged_form(&self, name: &str, site: &ModuleSite) -> bool {
        let same = |other: &ModuleSite| other.site == site.site;
        self.modules.iter().any(|(n, s)| n != name && same(s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> LoraSites {
        let mut sites = LoraSites::default();
        let attention = "model.layers.1.self_attn";
        let parts = ["q_proj", "k_proj", "v_proj"].map(|p| format!("{attention}.{p}"));
        let parts: Vec<(&str, usize)> = parts.iter().map(String::as_str).zip([8, 4, 4]).collect();
        assert_eq!(sites.add(&parts, 16), 0);
        assert_eq!(sites.add(&[("model.layers.1.self_attn.o_proj", 16)], 8), 1);
        sites.add_embedding(50, 16);
        assert_eq!(sites.add(&[("lm_head", 50)], 16), 3);
        sites
    }

    #[test]
    fn modules_are_found_whatever_the_prefix_of_their_layer() {
        let sites = sites();
        for name in
            ["layers.1.self_attn.k_proj", "model.layers.1.self_attn.k_proj", "a.b.layers.1.self_attn.k_proj"]
        {
            let found = sites.find(name).unwrap();
            assert_eq!((found.site, found.columns.clone(), found.in_features), (0, 8..12, 16), "{name}");
        }
        assert_eq!(sites.find("model.layers.1.self_attn.qkv_proj").unwrap().columns, 0..16);
        assert_eq!(sites.find("model.layers.0.self_attn.q_proj"), None);
        for (name, kind, shape) in [
            ("model.embed_tokens", SiteKind::Embedding, (16, 50)),
            ("language_model.lm_head", SiteKind::Linear, (50, 16)),
            ("unembed_tokens", SiteKind::Linear, (50, 16)),
        ] {
            let found = sites.find(name).unwrap();
            assert_eq!((found.kind, (found.columns.len(), found.in_features)), (kind, shape), "{name}");
        }
        assert_eq!(sites.find("model.norm"), None);
        assert_eq!(sites.num_layers(), 2);
    }

    #[test]
    fn the_size_of_an_adapter_counts_every_matrix_once() {
        let sites = sites();
        assert_eq!(sites.numbers(2, &sites.merged_modules_of_layers()), 2 * (3 * 16 + 16 + 16 + 8));
        assert_eq!(sites.numbers(2, &sites.merged_modules()), 2 * (3 * 16 + 16 + 16 + 8 + 50 + 16 + 50 + 16));
        assert_eq!(sites.numbers(2, &["o_proj".to_owned()].into()), 2 * (16 + 8));
    }
}
