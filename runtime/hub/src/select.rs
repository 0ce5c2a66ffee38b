//! Selects the files of a repository that a server needs.

use serde_json::Value;
use sglang_checkpoint::is_model_gguf;
use sglang_checkpoint::part_name::{self, PartName};
use sglang_checkpoint::safetensors::weight_files;

use crate::part::Part;
use crate::reference::FileChoice;

/// Weights in a single file, as transformers names it.
const SINGLE: &str = "model.safetensors";
/// The index of sharded weights.
const INDEX: &str = "model.safetensors.index.json";
/// Files that describe a model.
const CONFIG: [&str; 2] = ["config.json", "generation_config.json"];
/// Files of the tokenizer.
const TOKENIZER: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];
/// Folder of additional chat templates.
const TEMPLATES: &str = "additional_chat_templates/";
/// The list of modules of an embedding model; each module has a folder with a config.json.
const MODULES: &str = "modules.json";
/// Quantisations that are preferred if none is named, as in llama.cpp.
const USUAL_QUANTS: [&str; 2] = ["Q4_K_M", "Q8_0"];

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Files of a checkpoint folder. If there is an index, it names the shards.
    Folder {
        /// Files other than the shards in the index.
        files: Vec<String>,
        /// The index among them.
        index: Option<String>,
    },
    /// The GGUF file, or all its parts.
    Gguf(Vec<String>),
}

/// Selects files of a repository. An error says what was found and what was expected.
pub(crate) fn choose(files: &[&str], part: &Part, choice: &FileChoice) -> Result<Plan, String> {
    let has = |name: &str| files.contains(&name);
    let (load_format, with_tokenizer) = match part {
        Part::Tokenizer => return tokenizer_plan(files, choice),
        Part::Model { load_format } => (load_format.as_str(), true),
        Part::Weights { load_format } => (load_format.as_str(), false),
    };
    let unlisted = if has(SINGLE) || has(INDEX) { Vec::new() } else { weight_files(files)? };
    let is_folder = has(SINGLE) || has(INDEX) || !unlisted.is_empty();
    if *choice != FileChoice::Any || load_format == "gguf" || (load_format == "auto" && !is_folder) {
        return match (choose_gguf(files, choice), choice) {
            (Err(_), FileChoice::Any) if load_format == "auto" && !files.iter().any(|f| is_model_gguf(f)) => {
                Err(nothing_to_serve(files))
            }
            (chosen, _) => chosen.map(Plan::Gguf),
        };
    }
    if !has("config.json") {
        return Err("the repository has no config.json".to_owned());
    }
    let mut wanted: Vec<String> = CONFIG.iter().copied().filter(|n| has(n)).map(str::to_owned).collect();
    if with_tokenizer {
        wanted.extend(tokenizer_files(files));
    }
    if has(MODULES) {
        wanted.push(MODULES.to_owned());
        wanted.extend(files.iter().filter(|f| is_module_config(f)).map(|f| (*f).to_owned()));
    }
    let mut index = None;
    if load_format != "dummy" {
        if has(SINGLE) {
            wanted.push(SINGLE.to_owned());
        } else if has(INDEX) {
            wanted.push(INDEX.to_owned());
            index = Some(INDEX.to_owned());
        } else if !unlisted.is_empty() {
            wanted.extend(unlisted);
        } else {
            return Err(nothing_to_serve(files));
        }
    }
    Ok(Plan::Folder { files: wanted, index })
}

fn tokenizer_plan(files: &[&str], choice: &FileChoice) -> Result<Plan, String> {
    if *choice != FileChoice::Any || !files.contains(&"tokenizer.json") {
        // A GGUF file contains its tokenizer.
        return match files.iter().any(|f| is_model_gguf(f)) {
            true => choose_gguf(files, choice).map(Plan::Gguf),
            false => Err("the repository has no tokenizer.json".to_owned()),
        };
    }
    let mut wanted: Vec<String> = tokenizer_files(files).collect();
    // Some tokenizers take their end-of-sequence token from these files.
    wanted.extend(CONFIG.iter().copied().filter(|n| files.contains(n)).map(str::to_owned));
    Ok(Plan::Folder { files: wanted, index: None })
}

/// Files of the tokenizer and the chat templates.
fn tokenizer_files(files: &[&str]) -> impl Iterator<Item = String> {
    let is_template = |file: &&str| {
        file.strip_prefix(TEMPLATES).is_some_and(|name| name.ends_with(".jinja") && !name.contains('/'))
    };
    let fixed = TOKENIZER.into_iter().filter(|name| files.contains(name));
    fixed.chain(files.iter().copied().filter(is_template)).map(str::to_owned)
}

/// `1_Pooling/config.json` and the like.
fn is_module_config(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, file)| {
        file == "config.json" && folder.split_once('_').is_some_and(|(n, _)| n.parse::<u32>().is_ok())
    })
}

fn nothing_to_serve(files: &[&str]) -> String {
    let others: Vec<&str> = files
        .iter()
        .copied()
        .filter(|f| {
            [".bin", ".pth", ".pt", ".safetensors", ".onnx", ".h5", ".msgpack"].iter().any(|e| f.ends_with(e))
        })
        .collect();
    let found = match others.as_slice() {
        [] => "no weights at all".to_owned(),
        some => format!("only {}", shortened(some)),
    };
    format!("expected {SINGLE}, {INDEX} or a .gguf file, found {found}")
}

/// A list for a message, shortened to twelve names.
fn shortened(names: &[&str]) -> String {
    match names.get(..12) {
        Some(first) if names.len() > 12 => format!("{} and {} more", first.join(", "), names.len() - 12),
        _ => names.join(", "),
    }
}

/// The GGUF file that the reference names, or all its parts.
fn choose_gguf(files: &[&str], choice: &FileChoice) -> Result<Vec<String>, String> {
    let all: Vec<&str> = files.iter().copied().filter(|f| is_model_gguf(f)).collect();
    let found = part_name::models(&all);
    let available = || format!("; the repository has {}", shortened(&found));
    let one = |of: &[&str], what: &str| match part_name::models(of).as_slice() {
        [] => Err(format!("no {what}{}", available())),
        [one] => all_parts(&all, one),
        several => {
            Err(format!("{} files are {what}: {}; name one of them", several.len(), shortened(several)))
        }
    };
    if found.is_empty() {
        return Err("expected a .gguf file, found none".to_owned());
    }
    match choice {
        FileChoice::File(name) => {
            let exact: Vec<&str> = all.iter().copied().filter(|f| *f == name.as_str()).collect();
            if !exact.is_empty() {
                return one(&exact, name);
            }
            let ending = format!("/{name}");
            one(
                &all.iter().copied().filter(|f| f.ends_with(&ending)).collect::<Vec<_>>(),
                &format!("file {name}"),
            )
        }
        FileChoice::Quant(quant) => one(&of_quant(&found, quant), &format!("GGUF of {quant}")),
        FileChoice::Any => match found.as_slice() {
            [one] => all_parts(&all, one),
            several => {
                let usual = USUAL_QUANTS.iter().map(|q| of_quant(several, q)).find(|f| f.len() == 1);
                match usual.as_deref() {
                    Some([one]) => all_parts(&all, one),
                    _ => Err(format!(
                        "several GGUF files; name one as REPOSITORY:QUANT or REPOSITORY:FILE{}",
                        available()
                    )),
                }
            }
        },
    }
}

/// Files of a quantisation: `model-Q4_K_M.gguf`, `model.q4_k_m.gguf`, `Q4_K_M/model.gguf`.
fn of_quant<'a>(files: &[&'a str], quant: &str) -> Vec<&'a str> {
    let quant = quant.to_ascii_uppercase();
    let is_of = |path: &str| {
        let path = path.to_ascii_lowercase();
        let stem = PartName::parse(&path).map_or(path.trim_end_matches(".gguf"), |part| part.stem());
        let stem = stem.to_ascii_uppercase();
        let (folder, stem) = stem.rsplit_once('/').unwrap_or(("", &stem));
        let ends = |text: &str| {
            text.strip_suffix(quant.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '.', '_', '/']))
        };
        ends(stem) || ends(folder)
    };
    files.iter().copied().filter(|f| is_of(f)).collect()
}

/// The part that stands for the whole GGUF model: the first.
pub(crate) fn first_part(parts: &[String]) -> &str {
    parts.first().map_or("", String::as_str)
}

/// The file itself, or all parts of the split model that it belongs to.
fn all_parts(files: &[&str], path: &str) -> Result<Vec<String>, String> {
    let Some(part) = PartName::parse(path) else { return Ok(vec![path.to_owned()]) };
    let parts: Vec<String> = part.all().collect();
    match parts.iter().find(|name| !files.contains(&name.as_str())) {
        Some(missing) => {
            Err(format!("{path} is one of {} parts, of which {missing} is missing", part.count()))
        }
        None => Ok(parts),
    }
}

/// The shards that an index names, in order and without repeats.
pub(crate) fn shards(index: &[u8]) -> Result<Vec<String>, String> {
    let wrong = || format!("{INDEX}: expected an object weight_map of tensor and file names");
    let index = sglang_checkpoint::json::parse(index).map_err(|e| format!("{INDEX}: {e}"))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(wrong)?;
    let mut shards: Vec<String> = Vec::new();
    for file in map.values() {
        let file = file.as_str().filter(|f| crate::repository::is_inside(f)).ok_or_else(wrong)?;
        if shards.last().is_none_or(|last| last != file) && !shards.iter().any(|s| s == file) {
            shards.push(file.to_owned());
        }
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [&str; 3] = ["config.json", "tokenizer.json", "tokenizer_config.json"];

    fn model(format: &str) -> Part {
        Part::Model { load_format: format.to_owned() }
    }

    fn folder(files: &[&str], part: &Part) -> (Vec<String>, Option<String>) {
        match choose(files, part, &FileChoice::Any) {
            Ok(Plan::Folder { files, index }) => (files, index),
            other => panic!("expected a folder, got {other:?}"),
        }
    }

    #[test]
    fn a_folder_is_its_configuration_and_its_safetensors_and_nothing_else() {
        let all = [
            ".gitattributes",
            "README.md",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "pytorch_model.bin",
            "consolidated.safetensors",
            "original/consolidated.00.pth",
            "onnx/model.onnx",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.json",
            "merges.txt",
        ];
        let (files, index) = folder(&all, &model("auto"));
        let expected = [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
        ];
        assert_eq!((files, index), (expected.map(str::to_owned).to_vec(), None));
        let (files, _) = folder(&all, &model("dummy"));
        assert!(!files.iter().any(|f| f.ends_with("safetensors")), "{files:?}");
        let (files, _) = folder(&all, &Part::Weights { load_format: "auto".to_owned() });
        assert_eq!(files, ["config.json", "generation_config.json", "model.safetensors"]);
        let (files, _) = folder(&all, &Part::Tokenizer);
        assert_eq!(
            files,
            ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"]
        );
    }

    #[test]
    fn companions_of_the_tokenizer_come_along_with_named_templates() {
        let mut all = SMALL.to_vec();
        all.extend([
            "added_tokens.json",
            "additional_chat_templates/rag.jinja",
            "additional_chat_templates/old/x.jinja",
            "additional_chat_templates/notes.md",
            "model.safetensors",
        ]);
        let expected = [
            "tokenizer.json",
            "tokenizer_config.json",
            "added_tokens.json",
            "additional_chat_templates/rag.jinja",
        ];
        assert_eq!(folder(&all, &Part::Tokenizer).0[..4], expected);
        assert_eq!(folder(&all, &model("auto")).0[1..5], expected);
    }

    #[test]
    fn shards_come_from_the_index_and_pooling_files_with_their_modules() {
        let mut all = SMALL.to_vec();
        all.extend([
            INDEX,
            "model-00001-of-00002.safetensors",
            "modules.json",
            "1_Pooling/config.json",
            "x/config.json",
        ]);
        let (files, index) = folder(&all, &model("safetensors"));
        assert_eq!(index.as_deref(), Some(INDEX));
        assert_eq!(files[3..], ["modules.json", "1_Pooling/config.json", INDEX]);
        let text = br#"{"weight_map": {"a": "s1", "b": "s2", "c": "s1"}}"#;
        assert_eq!(shards(text), Ok(vec!["s1".to_owned(), "s2".to_owned()]));
        for bad in ["", "{}", r#"{"weight_map": {"a": 1}}"#, r#"{"weight_map": {"a": "../x"}}"#] {
            assert!(shards(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gguf_file_is_chosen_by_quantisation_by_name_or_as_llama_cpp_does() {
        let all = [
            "README.md",
            "m-Q2_K.gguf",
            "m-Q4_K_M.gguf",
            "m.q8_0.gguf",
            "BF16/m.gguf",
            "mmproj-m-Q4_K_M.gguf",
            "m-Q6_K-00001-of-00002.gguf",
            "m-Q6_K-00002-of-00002.gguf",
        ];
        let quant = |q: &str| choose(&all, &model("auto"), &FileChoice::Quant(q.to_owned()));
        let file = |f: &str| choose(&all, &model("auto"), &FileChoice::File(f.to_owned()));
        let gguf = |f: &str| Ok(Plan::Gguf(vec![f.to_owned()]));
        assert_eq!(quant("Q4_K_M"), gguf("m-Q4_K_M.gguf"));
        assert_eq!(quant("Q8_0"), gguf("m.q8_0.gguf"));
        assert_eq!(quant("bf16"), gguf("BF16/m.gguf"));
        assert_eq!(file("m-Q2_K.gguf"), gguf("m-Q2_K.gguf"));
        assert_eq!(file("m.gguf"), gguf("BF16/m.gguf"));
        assert_eq!(choose(&all, &model("auto"), &FileChoice::Any), gguf("m-Q4_K_M.gguf"));
        assert_eq!(choose(&["x.gguf", "config.json"], &model("gguf"), &FileChoice::Any), gguf("x.gguf"));
        let error = quant("Q3_K_S").expect_err("not there");
        assert!(
            error.contains("Q3_K_S") && error.contains("m-Q2_K.gguf") && !error.contains("mmproj"),
            "{error}"
        );
        let parts = ["m-Q6_K-00001-of-00002.gguf", "m-Q6_K-00002-of-00002.gguf"];
        let split = Ok(Plan::Gguf(parts.map(str::to_owned).to_vec()));
        assert_eq!((quant("Q6_K"), file(parts[0]), file(parts[1])), (split.clone(), split.clone(), split));
        let error = choose(&all[..7], &model("auto"), &FileChoice::Quant("Q6_K".into())).expect_err("a half");
        assert!(error.contains("one of 2 parts, of which m-Q6_K-00002-of-00002.gguf is missing"), "{error}");
        let split = ["big/m-00001-of-00002.gguf", "big/m-00002-of-00002.gguf"];
        let expected = Ok(Plan::Gguf(split.map(str::to_owned).to_vec()));
        assert_eq!(choose(&split, &model("auto"), &FileChoice::Any), expected);
        assert_eq!(choose(&split, &model("auto"), &FileChoice::Quant("big".into())), expected);
        let error =
            choose(&["a-Q2_K.gguf", "b-Q2_K.gguf"], &model("auto"), &FileChoice::Any).expect_err("two");
        assert!(error.contains("a-Q2_K.gguf, b-Q2_K.gguf"), "{error}");
    }

    #[test]
    fn shards_that_no_index_lists_are_all_fetched() {
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let all = ["config.json", shards[1], shards[0], "adapter_model.safetensors", "x.gguf"];
        let (files, index) = folder(&all, &model("auto"));
        assert_eq!((&files[1..], index), (&shards.map(str::to_owned)[..], None));
        let error = choose(&all[..2], &model("auto"), &FileChoice::Any).expect_err("a half");
        assert!(error.contains("found no model-00001-of-00002.safetensors"), "{error}");
        let (files, _) = folder(&["config.json", "weights.safetensors"], &model("safetensors"));
        assert_eq!(files, ["config.json", "weights.safetensors"]);
    }

    #[test]
    fn safetensors_take_precedence_unless_gguf_is_requested() {
        let all = ["config.json", "model.safetensors", "m-Q8_0.gguf"];
        assert!(matches!(choose(&all, &model("auto"), &FileChoice::Any), Ok(Plan::Folder { .. })));
        assert!(matches!(choose(&all, &model("gguf"), &FileChoice::Any), Ok(Plan::Gguf(_))));
    }

    #[test]
    fn the_error_for_a_repository_without_weights_says_what_it_has() {
        let error =
            choose(&["config.json", "pytorch_model.bin"], &model("auto"), &FileChoice::Any).expect_err("no");
        assert!(error.contains("model.safetensors") && error.contains("pytorch_model.bin"), "{error}");
        let error = choose(&["README.md"], &model("auto"), &FileChoice::Any).expect_err("no");
        assert!(error.contains("no weights at all"), "{error}");
        let error = choose(&SMALL, &model("gguf"), &FileChoice::Any).expect_err("no");
        assert!(error.contains("a .gguf file"), "{error}");
    }
}
