//! Reads adapters and checks them against the model, while the model runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use sglang_checkpoint::lora::{LoraConfig, TargetModules, adapter_weights, added_tokens, merged_module};
use sglang_checkpoint::{GgmlType, SafetensorsIndex, TensorView};
use sglang_proto::lora::LoRARef;
use sglang_proto::worker::{AdapterReader, StagedWeights};

use crate::error::{ModelError, Result};
use crate::loader::WeightTarget;
use crate::lora_sites::{LoraSites, ModuleSite, SiteKind, name_in_layers};
use crate::ops::{LinearWeight, LoraPart, Matrix};

use super::LoraAdapter;
use super::adapter::{LoraEmbedding, host_matrix, storage_of, transposed};

/// Limits for the adapters of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoraLimits {
    /// `--max-lora-rank`; `None` until the start-up adapters determine it.
    pub max_rank: Option<usize>,
    /// `--lora-target-modules` in merged form; `None` until the start-up adapters determine it.
    pub modules: Option<BTreeSet<String>>,
}

/// An adapter that was read, with its properties for [`LoraLimits`].
#[derive(Debug)]
pub struct ReadAdapter {
    /// The adapter, in host memory.
    pub adapter: LoraAdapter,
    /// Its rank.
    pub rank: usize,
    /// Merged modules that it changes.
    pub modules: BTreeSet<String>,
}

/// Reads adapters for one model.
#[derive(Debug)]
pub struct LoraReader {
    sites: LoraSites,
    target: WeightTarget,
    vocab_size: usize,
    limits: RwLock<LoraLimits>,
}

impl LoraReader {
    /// A reader for a model with these sites and this form of weights.
    pub fn new(sites: LoraSites, target: WeightTarget, vocab_size: usize, limits: LoraLimits) -> Self {
        Self { sites, target, vocab_size, limits: RwLock::new(limits) }
    }

    /// The layers that adapters can change.
    pub fn sites(&self) -> &LoraSites {
        &self.sites
    }

    /// The limits.
    pub fn limits(&self) -> LoraLimits {
        self.limits.read().map(|limits| limits.clone()).unwrap_or_default()
    }

    /// Sets the limits once the start-up adapters are known.
    pub(super) fn set_limits(&self, limits: LoraLimits) {
        if let Ok(mut current) = self.limits.write() {
            *current = limits;
        }
    }

    /// Reads the adapter in the folder `path`; `name` is its name in messages.
    ///
    /// # Errors
    /// One line that names the file and the key or tensor, and says what was expected and found.
    pub fn read_folder(&self, name: &str, path: &Path) -> Result<ReadAdapter> {
        let config = LoraConfig::from_folder(path)?;
        if added_tokens(path, self.vocab_size)? > 0 {
            return Err(ModelError::Adapter(format!(
                "Failed to load {name} because LoRA serving currently doesn't support adapters that add tokens to the \
                 vocabulary"
            )));
        }
        let weights = adapter_weights(path)?;
        let pairs = self.pairs(&weights)?;
        let mut modules: BTreeSet<String> = pairs.keys().map(|m| merged_module(m).to_owned()).collect();
        match &config.target_modules {
            TargetModules::Names(_) => modules.extend(config.merged_modules().unwrap_or_default()),
            TargetModules::All if self.limits().modules.is_none() => {
                modules.extend(self.sites.merged_modules_of_layers());
            }
            TargetModules::All | TargetModules::Pattern(_) => {}
        }
        self.check_limits(name, config.r, &modules)?;
        let mut sites: HashMap<usize, Vec<LoraPart>> = HashMap::new();
        let mut embedding = None;
        for (module, [a, b]) in &pairs {
            let Some(place) = self.sites.find(module) else { continue };
            let ModuleSite { kind, site, columns, in_features } = place.clone();
            let [a, b] = [("A", a, [config.r, in_features]), ("B", b, [columns.len(), config.r])].map(
                |(which, tensor, shape)| Factor {
                    weights: &weights,
                    tensor: tensor.as_deref(),
                    module,
                    which,
                    shape,
                },
            );
            let a = a.read(|view, storage| match kind {
                SiteKind::Linear => host_matrix(view, storage, a.shape, self.target),
                SiteKind::Embedding => transposed(view, storage, a.shape, self.target),
            })?;
            let b = b.read(|view, storage| host_matrix(view, storage, b.shape, self.target))?;
            match kind {
                SiteKind::Linear => {
                    sites.entry(site).or_default().push(LoraPart { a: Some(a), b, columns });
                }
                SiteKind::Embedding => {
                    let table = LinearWeight::new(vec![a], None)?;
                    embedding = Some(LoraEmbedding { table, part: LoraPart { a: None, b, columns } });
                }
            }
        }
        let adapter = LoraAdapter::new(config.scaling(), sites, embedding);
        Ok(ReadAdapter { adapter, rank: config.r, modules })
    }

    /// The names of the two matrices of every module.
    fn pairs(&self, weights: &SafetensorsIndex) -> Result<BTreeMap<String, [Option<String>; 2]>> {
        let mut pairs: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
        for name in weights.names() {
            // The base model's matrix, which PEFT saves with an embedding's adapter.
            if name.ends_with(".base_layer.weight") {
                continue;
            }
            let (module, matrix) = match split(name) {
                Some((module, matrix)) if self.sites.find(module).is_some() => (module, matrix),
                Some((module, _)) => {
                    return Err(wrong(weights, name, self.known_modules(module), "this module".into()));
                }
                None => {
                    let expected = "tensors named MODULE.lora_A.weight and MODULE.lora_B.weight".to_owned();
                    return Err(wrong(weights, name, expected, "this one".into()));
                }
            };
            if let Some(slot) = pairs.entry(module.to_owned()).or_default().get_mut(matrix) {
                *slot = Some(name.to_owned());
            }
        }
        if pairs.is_empty() {
            let expected = "matrices of at least one module".to_owned();
            return Err(wrong(weights, "*.lora_A.weight", expected, "none".into()));
        }
        Ok(pairs)
    }

    /// The expected modules, for an error about an unknown one.
    fn known_modules(&self, module: &str) -> String {
        let last = module.rsplit('.').next().unwrap_or(module);
        let names = || self.sites.merged_modules().into_iter().collect::<Vec<_>>().join(", ");
        let layer = name_in_layers(module).and_then(|n| n.split('.').nth(1)?.parse::<usize>().ok());
        let layers = self.sites.num_layers();
        match layer {
            Some(layer) if layer >= layers => format!("a module of the model's {layers} layers"),
            _ if module.contains(".experts.") => {
                format!("modules outside of experts, which adapters cannot change: {}", names())
            }
            Some(_) => format!("one of the layers' modules that adapters can change ({})", names()),
            None => format!("a module that adapters can change ({}); {last} is none", names()),
        }
    }

    fn check_limits(&self, name: &str, rank: usize, modules: &BTreeSet<String>) -> Result<()> {
        let limits = self.limits();
        let too_much = limits.max_rank.filter(|max| rank > *max);
        let outside: Vec<&str> = limits
            .modules
            .iter()
            .flat_map(|allowed| modules.iter().filter(move |m| !allowed.contains(*m)))
            .map(String::as_str)
            .collect();
        if too_much.is_none() && outside.is_empty() {
            return Ok(());
        }
        let mut why = Vec::new();
        if let Some(max) = too_much {
            why.push(format!("expected a rank of at most {max}, found {rank}"));
        }
        if !outside.is_empty() {
            let allowed: Vec<&str> = limits.modules.iter().flatten().map(String::as_str).collect();
            why.push(format!("expected modules among {}, found {}", allowed.join(", "), outside.join(", ")));
        }
        Err(ModelError::Adapter(format!(
            "LoRA adapter {name} with rank {rank} is incompatible with the current LoRA memory pool configuration. \
             Please ensure that the LoRA adapter's rank is within the configured `--max-lora-rank` and that the target \
             modules are included in `--lora-target-modules`. ({})",
            why.join("; ")
        )))
    }
}

/// Matrix `A` or `B` of a module in an adapter's file.
struct Factor<'a> {
    weights: &'a SafetensorsIndex,
    tensor: Option<&'a str>,
    module: &'a str,
    which: &'static str,
    shape: [usize; 2],
}

impl Factor<'_> {
    /// Reads the matrix in the form that `form` makes.
    fn read(&self, form: impl Fn(&TensorView<'_>, GgmlType) -> Result<Matrix>) -> Result<Matrix> {
        let Self { weights, shape, .. } = self;
        let Some(tensor) = self.tensor else {
            let name = format!("{}.lora_{}.weight", self.module, self.which);
            return Err(wrong(weights, &name, format!("{shape:?}"), "nothing of that name".into()));
        };
        let view: TensorView<'_> = weights.tensor(tensor)?;
        if view.shape != shape {
            return Err(wrong(weights, tensor, format!("{shape:?}"), format!("{:?}", view.shape)));
        }
        let storage = storage_of(view.dtype)
            .ok_or_else(|| wrong(weights, tensor, "type F32, F16 or BF16".into(), view.dtype.to_string()))?;
        form(&view, storage)
    }
}

/// The module of a tensor, and 0 for matrix `A` or 1 for matrix `B`.
fn split(tensor: &str) -> Option<(&str, usize)> {
    // Those of an embedding have no `.weight` suffix.
    let stem = tensor.strip_suffix(".weight").unwrap_or(tensor);
    let stem = stem.strip_suffix(".default").unwrap_or(stem);
    let (module, matrix) = stem.rsplit_once(".lora_")?;
    let matrix = match matrix {
        "A" | "embedding_A" => 0,
        "B" | "embedding_B" => 1,
        _ => return None,
    };
    Some((module.strip_prefix("base_model.model.").unwrap_or(module), matrix))
}

fn wrong(weights: &SafetensorsIndex, tensor: &str, expected: String, found: String) -> ModelError {
    let file: PathBuf = weights
        .file_of(tensor)
        .map_or_else(|| weights.dir().join(sglang_checkpoint::lora::ADAPTER_WEIGHTS), Path::to_path_buf);
    ModelError::Tensor { file, tensor: tensor.to_owned(), expected, found }
}

impl AdapterReader for LoraReader {
    fn read(&self, lora: &LoRARef) -> std::result::Result<StagedWeights, String> {
        let read = self.read_folder(lora.name(), Path::new(lora.path()));
        read.map(|adapter| StagedWeights(Box::new(adapter))).map_err(|e| e.to_string())
    }
}
