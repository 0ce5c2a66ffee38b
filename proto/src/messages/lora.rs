//! Messages to load and unload LoRA adapters.

use std::borrow::Cow;

use super::control::control;
use crate::lora::LoRARef;

control! {
    /// Loads an adapter.
    call LoadLoRAAdapterReqInput -> LoRAUpdateOutput {
        /// Name in requests.
        pub lora_name: String,
        /// Folder in PEFT's format.
        pub lora_path: String,
        /// Whether it stays in the memory pool.
        pub pinned: bool = false,
        /// Unique id, assigned by the tokenizer manager.
        pub lora_id: Option<String> = None,
    }
    /// Unloads an adapter that no request uses.
    call UnloadLoRAAdapterReqInput -> LoRAUpdateOutput {
        /// Name in requests.
        pub lora_name: String,
        /// Unique id.
        pub lora_id: Option<String> = None,
    }
    /// Answer to [`LoadLoRAAdapterReqInput`] and [`UnloadLoRAAdapterReqInput`].
    answer LoRAUpdateOutput {
        /// Whether it succeeded.
        pub success: bool,
        /// Why not.
        pub error_message: Option<String> = None,
        /// Paths of the adapters that are loaded now, by name.
        pub loaded_adapters: Option<serde_json::Map<String, serde_json::Value>> = None,
    }
}

impl LoadLoRAAdapterReqInput {
    /// The adapter to load.
    pub fn to_ref(&self) -> LoRARef {
        LoRARef {
            lora_id: self.lora_id.clone().unwrap_or_default(),
            lora_name: Some(self.lora_name.clone()),
            lora_path: Some(self.lora_path.clone()),
            pinned: Some(self.pinned),
        }
    }
}

impl LoRAUpdateOutput {
    /// An error without a list of adapters, for a call that never reached the scheduler.
    pub fn failed(error_message: impl Into<Cow<'static, str>>) -> Self {
        Self { error_message: Some(error_message.into().into_owned()), ..Self::default() }
    }
}
