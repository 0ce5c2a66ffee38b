//! What the flags of LoRA adapters mean together (reference: `arg_groups/lora_hook.py`).

use std::collections::BTreeSet;

use super::ServerArgs;
use super::exit::Exit;
use sglang_proto::LoRARef;

/// What `--lora-target-modules` takes, besides `all`.
pub const LORA_TARGET_MODULES: [&str; 20] = [
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

impl ServerArgs {
    /// The adapters of `--lora-paths`; the check has made sure that each can be read.
    pub fn lora_refs(&self) -> Vec<LoRARef> {
        self.lora_paths.iter().flatten().filter_map(|item| LoRARef::from_flag(item).ok()).collect()
    }

    /// Turns LoRA on where there are adapters, and checks its flags.
    pub(super) fn check_lora(&mut self) -> Result<(), Exit> {
        let mut names = BTreeSet::new();
        for item in self.lora_paths.iter().flatten() {
            let lora = LoRARef::from_flag(item).map_err(|why| Exit::bad_value("lora-paths", item, &why))?;
            if !names.insert(lora.name().to_owned()) {
                let why = format!("the adapter {} is named twice; give each a name of its own", lora.name());
                return Err(Exit::bad_value("lora-paths", item, &why));
            }
        }
        let modules = self.lora_target_modules.as_deref().unwrap_or_default();
        for module in modules {
            if module != "all" && !LORA_TARGET_MODULES.contains(&module.as_str()) {
                let why = format!("expected all, or some of: {}", LORA_TARGET_MODULES.join(", "));
                return Err(Exit::bad_value("lora-target-modules", module, &why));
            }
        }
        if modules.len() > 1 && modules.iter().any(|module| module == "all") {
            let why =
                "If 'all' is specified in --lora-target-modules, it should be the only module specified.";
            return Err(Exit::bad_value("lora-target-modules", &modules.join(" "), why));
        }
        let given = names.len();
        self.enable_lora |= given > 0;
        if !self.enable_lora {
            return Ok(());
        }
        if given == 0 && (self.max_lora_rank.is_none() || modules.is_empty()) {
            return Err(Exit::usage(
                "--enable-lora: When no initial --lora-paths is provided, you need to specify both --max-lora-rank and \
                 --lora-target-modules for LoRA initialization."
                    .to_owned(),
            ));
        }
        if let Some(most) = self.max_loaded_loras {
            let per_batch = self.max_loras_per_batch;
            let wrong = |why: String| Err(Exit::bad_value("max-loaded-loras", &most.to_string(), &why));
            if most < per_batch {
                return wrong(format!(
                    "max_loaded_loras should be greater than or equal to max_loras_per_batch. \
                     max_loaded_loras={most}, max_loras_per_batch={per_batch}"
                ));
            }
            if given > most {
                return wrong(format!(
                    "The number of LoRA paths should not exceed max_loaded_loras. max_loaded_loras={most}, \
                     lora_paths={given}"
                ));
            }
        }
        let pinned = self.lora_refs().iter().filter(|lora| lora.is_pinned()).count();
        if pinned > 0 && pinned + 1 > self.max_loras_per_batch {
            let why = format!(
                "It is not allowed to pin all slots in the LoRA memory pool: {pinned} adapters are pinned, and \
                 --max-loras-per-batch is {}",
                self.max_loras_per_batch
            );
            return Err(Exit::usage(format!("--lora-paths: {why}")));
        }
        Ok(())
    }
}
