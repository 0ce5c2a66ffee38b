//! Rules of the flags of LoRA adapters (reference: `arg_groups/lora_hook.py`).

use std::collections::BTreeSet;

use sglang_proto::LoRARef;

/// The valid values of `--lora-target-modules`.
pub(super) const TARGET_MODULES: &[&str] = &[
    "all",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "q_a_proj",
    "kv_a_proj_with_mqa",
    "q_b_proj",
    "kv_b_proj",
    "wq_b",
    "wk",
    "weights_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
    "embed_tokens",
    "lm_head",
    "qkvr",
    "wo_ud",
];

/// The flags of LoRA that depend on each other. A list is empty if its flag was not given.
pub(super) struct Lora<'a> {
    /// `--enable-lora`, or implied by `paths`.
    pub(super) enabled: bool,
    /// `--lora-paths`.
    pub(super) paths: &'a [String],
    /// `--lora-target-modules`.
    pub(super) modules: &'a [String],
    /// `--max-lora-rank`.
    pub(super) max_rank: Option<usize>,
    /// `--max-loras-per-batch`.
    pub(super) per_batch: usize,
}

impl Lora<'_> {
    /// Without adapters at start-up, the flags must say how much memory later ones need.
    pub(super) fn check_enabled(&self) -> Result<(), String> {
        if self.enabled && self.paths.is_empty() && (self.max_rank.is_none() || self.modules.is_empty()) {
            return Err(
                "When no initial --lora-paths is provided, you need to specify both --max-lora-rank and \
                 --lora-target-modules for LoRA initialization."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Each adapter must be readable and have its own name, and pinned adapters must leave one slot of a batch free.
    pub(super) fn check_paths(&self) -> Result<(), String> {
        let (mut names, mut pinned) = (BTreeSet::new(), 0);
        for item in self.paths {
            let lora = LoRARef::from_flag(item)?;
            pinned += usize::from(lora.is_pinned());
            if !names.insert(lora.name().to_owned()) {
                return Err(format!("two adapters have the name {}; give each its own", lora.name()));
            }
        }
        if pinned > 0 && pinned + 1 > self.per_batch {
            return Err(format!(
                "It is not allowed to pin all slots in the LoRA memory pool: {pinned} adapters are pinned, and \
                 --max-loras-per-batch is {}",
                self.per_batch
            ));
        }
        Ok(())
    }

    /// `all` must be the only module.
    pub(super) fn check_modules(&self) -> Result<(), String> {
        if self.modules.len() > 1 && self.modules.iter().any(|module| module == "all") {
            return Err(
                "If 'all' is specified in --lora-target-modules, it should be the only module specified."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The adapters of a batch, and those loaded at start-up, must fit into the loaded adapters.
    pub(super) fn check_max_loaded(&self, most: Option<usize>) -> Result<(), String> {
        let (per_batch, given) = (self.per_batch, self.paths.len());
        match most {
            Some(most) if self.enabled && most < per_batch => Err(format!(
                "max_loaded_loras should be greater than or equal to max_loras_per_batch. max_loaded_loras={most}, \
                 max_loras_per_batch={per_batch}"
            )),
            Some(most) if self.enabled && given > most => Err(format!(
                "The number of LoRA paths should not exceed max_loaded_loras. max_loaded_loras={most}, \
                 lora_paths={given}"
            )),
            _ => Ok(()),
        }
    }
}
