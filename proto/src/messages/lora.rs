//! Messages about LoRA adapters of a running server.

use std::borrow::Cow;

use super::control::control;
use crate::lora::LoRARef;

control! {
    /// Asks for an adapter to be read and served.
    call LoadLoRAAdapterReqInput -> LoRAUpdateOutput {
        /// Name that requests give.
        pub lora_name: String,
        /// Folder in PEFT's format.
        pub lora_path: String,
        /// Whether it stays in the memory pool.
        pub pinned: bool = false,
        /// Unique id, made by the tokenizer manager.
        pub lora_id: Option<String> = None,
    }
    /// Asks for an adapter to be forgotten. No request uses it any more.
    call UnloadLoRAAdapterReqInput -> LoRAUpdateOutput {
        /// Name that requests gave.
        pub lora_name: String,
        /// Unique id.
        pub lora_id: Option<String> = None,
    }
    /// Answer to both.
    answer LoRAUpdateOutput {
        /// Whether it was done.
        pub success: bool,
        /// Why not.
        pub error_message: Option<String> = None,
        /// Paths of the adapters that are loaded afterwards, by name.
        pub loaded_adapters: Option<serde_json::Map<String, serde_json::Value>> = None,
    }
}

impl LoadLoRAAdapterReqInput {
    /// The adapter that is to be loaded.
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
    /// An answer without a list of adapters, as for what never reached the scheduler.
    pub fn failed(error_message: impl Into<Cow<'static, str>>) -> Self {
        Self { error_message: Some(error_message.into().into_owned()), ..Self::default() }
    }
}
