//! Finds the weight files of a folder that has neither `model.safetensors` nor an index.

use std::collections::BTreeSet;

use crate::part_name::PartName;

/// Name prefixes of safetensors files to ignore: LoRA adapters, and second copies of the weights in the publisher's own
/// layout.
const OTHERS: [&str; 2] = ["adapter_", "consolidated"];

/// The weight files among the file names of a folder, sorted: all safetensors files but the ignored ones. Empty if
/// there are none.
///
/// # Errors
/// Shards are missing, according to the names of the others. The text names the first missing one.
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
