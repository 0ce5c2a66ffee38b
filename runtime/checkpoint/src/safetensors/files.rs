//! Which files hold the weights of a folder that has neither the one file nor an index.

use std::collections::BTreeSet;

use crate::part_name::PartName;

/// Beginnings of the names of safetensors files that are no weights of transformers' layout: LoRA adapters, and second
/// copies as their makers publish them.
const OTHERS: [&str; 2] = ["adapter_", "consolidated"];

/// The weights among the names of a folder's files, in order: every safetensors file, shards first of all. Empty when
/// there is none.
///
/// # Errors
/// A shard whose name says that there are others is without them; the text names what is missing.
pub fn weight_files(names: &[&str]) -> Result<Vec<String>, String> {
    let is_weight = |name: &&str| {
        name.ends_with(".safetensors") && !name.contains('/') && !OTHERS.iter().any(|o| name.starts_with(o))
    };
    let found: BTreeSet<&str> = names.iter().copied().filter(is_weight).collect();
    for part in found.iter().filter_map(|name| PartName::parse(name)) {
        let missing: Vec<String> = part.all().filter(|name| !found.contains(name.as_str())).collect();
        if let Some(first) = missing.first() {
            let others =
                if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() };
            return Err(format!("expected {} shards, found no {first}{others}", part.count()));
        }
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_all_safetensors_files_but_adapters_and_copies() {
        let names = ["config.json", "model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"];
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        assert_eq!(weight_files(&names), Ok(shards.map(str::to_owned).to_vec()));
        let names = ["adapter_model.safetensors", "consolidated.00.safetensors", "x/model.safetensors"];
        assert_eq!(weight_files(&names), Ok(Vec::new()));
        assert_eq!(weight_files(&["weights.safetensors"]), Ok(vec!["weights.safetensors".to_owned()]));
    }

    #[test]
    fn a_shard_that_is_missing_is_named() {
        let names = ["m-00002-of-00004.safetensors", "m-00004-of-00004.safetensors"];
        let expected = "expected 4 shards, found no m-00001-of-00004.safetensors and 1 more";
        assert_eq!(weight_files(&names), Err(expected.to_owned()));
    }
}
