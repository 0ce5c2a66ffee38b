//! Messages about LoRA adapters of a running server.

use std::borrow::Cow;

use super::control::control;
use crate::lora::LoRARef;
use crate::wire::message;

control! {
    /// Asks for an adapter to be read and served.
    LoadLoRAAdapterReqInput { /// Name that requests give.
        lora_name: String, /// Folder in PEFT's format.
        lora_path: String;
        /// Whether it stays in the memory pool.
        pinned: bool = false,
        /// Unique id, made by the tokenizer manager.
        lora_id: Option<String> = None }
    /// Asks for an adapter to be forgotten. No request uses it any more.
    UnloadLoRAAdapterReqInput { /// Name that requests gave.
        lora_name: String;
        /// Unique id.
        lora_id: Option<String> = None }
    /// Answer to both.
    LoRAUpdateOutput { /// Whether it was done.
        success: bool;
        /// Why not.
        error_message: Option<String> = None,
        /// Paths of the adapters that are loaded afterwards, by name.
        loaded_adapters: Option<serde_json::Map<String, serde_json::Value>> = None }
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
