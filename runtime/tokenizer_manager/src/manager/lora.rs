//! Calls about LoRA adapters (reference: `TokenizerControlMixin.load_lora_adapter` and its neighbours).

use std::time::Duration;

use sglang_proto::lora::{LORA_OFF, LoRARef};
use sglang_proto::messages::{
    AnyMessage, Call, LoRAUpdateOutput, LoadLoRAAdapterReqInput, UnloadLoRAAdapterReqInput,
};

use super::{ControlError, GenerateError, TokenizerManager};
use crate::lora::{AdapterUse, LoraRegistry, LoraSettings};
use crate::requests::ValueError;
use crate::requests::normalize::new_rid;
use crate::requests::tokenize::lora_off;

/// Longest wait until an adapter is loaded. It may be read over a network.
const LOAD_PATIENCE: Duration = Duration::from_secs(3600);

impl TokenizerManager {
    /// Enables adapters. Only the first call has an effect.
    pub fn serve_adapters(&self, settings: LoraSettings) {
        self.lora.get_or_init(|| LoraRegistry::new(settings));
    }

    /// The adapters; `None` if LoRA is off.
    pub fn adapters(&self) -> Option<&LoraRegistry> {
        self.lora.get()
    }

    /// Loads an adapter, and unloads others when there are too many.
    ///
    /// # Errors
    /// If there is no answer. A failed load is an answer.
    pub async fn load_lora_adapter(
        &self,
        request: LoadLoRAAdapterReqInput,
    ) -> Result<LoRAUpdateOutput, ControlError> {
        let Some(registry) = self.adapters() else { return Ok(LoRAUpdateOutput::failed(LORA_OFF)) };
        let _one_at_a_time = registry.updates.lock().await;
        let lora = LoRARef::new(&request.lora_name, &request.lora_path, request.pinned);
        self.load_locked(registry, lora).await
    }

    async fn load_locked(
        &self,
        registry: &LoraRegistry,
        lora: LoRARef,
    ) -> Result<LoRAUpdateOutput, ControlError> {
        tracing::info!("Start load Lora adapter. Lora name={}, path={}", lora.name(), lora.path());
        if let Err(error) = registry.check_loadable(lora.name()) {
            return Ok(LoRAUpdateOutput::failed(error.0));
        }
        let mut answer = self.call(load_message(&lora), LOAD_PATIENCE).await?;
        if !answer.success {
            if answer.loaded_adapters.as_ref().is_some_and(|loaded| loaded.contains_key(lora.name())) {
                registry.half_loaded(&lora);
            }
            return Ok(answer);
        }
        if let Err(error) = registry.register(lora) {
            return Ok(LoRAUpdateOutput::failed(error.0));
        }
        loop {
            let name = match registry.one_too_many() {
                Ok(None) => return Ok(answer),
                Ok(Some(name)) => name,
                Err(error) => return Ok(LoRAUpdateOutput::failed(error.0)),
            };
            tracing::info!("Unloading least recently used LoRA adapter '{name}'");
            let unloaded = self.unload_locked(registry, &name).await?;
            if !unloaded.success {
                let why = unloaded.error_message.unwrap_or_default();
                let text = format!("Error while unloading LRU LoRA adapter '{name}': {why}");
                return Ok(LoRAUpdateOutput::failed(text));
            }
            if let Some(loaded) = &mut answer.loaded_adapters {
                loaded.shift_remove(&name);
            }
        }
    }

    /// Unloads an adapter once no request uses it.
    ///
    /// # Errors
    /// If there is no answer. An unknown name is an answer.
    pub async fn unload_lora_adapter(&self, name: &str) -> Result<LoRAUpdateOutput, ControlError> {
        let Some(registry) = self.adapters() else { return Ok(LoRAUpdateOutput::failed(LORA_OFF)) };
        tracing::info!("Start unload Lora adapter. Lora name={name}");
        let _one_at_a_time = registry.updates.lock().await;
        self.unload_locked(registry, name).await
    }

    async fn unload_locked(
        &self,
        registry: &LoraRegistry,
        name: &str,
    ) -> Result<LoRAUpdateOutput, ControlError> {
        let lora_id = match registry.unregister(name) {
            Ok(id) => id,
            Err(error) => return Ok(LoRAUpdateOutput::failed(error.0)),
        };
        registry.wait_for_unload(&lora_id).await;
        let answer = self.call(unload_message(name, lora_id), LOAD_PATIENCE).await?;
        if answer.success {
            registry.unloaded(name);
        }
        Ok(answer)
    }

    /// Acquires the adapters that a request's prompts name. Evicted ones are loaded again.
    ///
    /// # Errors
    /// If LoRA is off, or an adapter is unknown or cannot be loaded.
    pub(super) async fn acquire_adapters(
        &self,
        names: &[Option<String>],
    ) -> Result<Vec<Option<AdapterUse>>, GenerateError> {
        let Some(first) = names.iter().flatten().next() else { return Ok(vec![None; names.len()]) };
        let Some(registry) = self.adapters() else { return Err(ValueError(lora_off(first)).into()) };
        if !registry.to_reload(names)?.is_empty() {
            let _one_at_a_time = registry.updates.lock().await;
            // Another request may have loaded them while this one waited for the lock.
            for lora in registry.to_reload(names)? {
                tracing::info!("Reloading evicted adapter: {}", lora.name());
                let lora = LoRARef::new(lora.name(), lora.path(), lora.is_pinned());
                let name = lora.name().to_owned();
                let answer = self
                    .load_locked(registry, lora)
                    .await
                    .map_err(|e| GenerateError::Refused { status: 503, message: e.to_string() })?;
                if !answer.success {
                    let why = answer.error_message.unwrap_or_default();
                    let text = format!("Failed to implicitly load LoRA adapter {name}: {why}");
                    return Err(ValueError(text).into());
                }
            }
        }
        Ok(registry.acquire(names)?)
    }

    /// Makes a new scheduler process load and unload the adapters that changed since the start. Nobody waits for its
    /// answers.
    pub(super) fn restore_adapters(&self) {
        let Some(registry) = self.adapters() else { return };
        let (load, forget) = registry.after_restart();
        let load = load.iter().map(|lora| AnyMessage::from(load_message(lora).with_id(new_rid().into())));
        let forget = forget
            .iter()
            .map(|lora| unload_message(lora.name(), lora.lora_id.clone()).with_id(new_rid().into()).into());
        for message in forget.chain(load) {
            if let Err(error) = self.scheduler.send(message) {
                tracing::error!("Cannot restore an adapter: {error}");
            }
        }
    }
}

fn load_message(lora: &LoRARef) -> LoadLoRAAdapterReqInput {
    LoadLoRAAdapterReqInput {
        lora_name: lora.name().to_owned(),
        lora_path: lora.path().to_owned(),
        pinned: lora.is_pinned(),
        lora_id: Some(lora.lora_id.clone()),
        ..Default::default()
    }
}

fn unload_message(name: &str, lora_id: String) -> UnloadLoRAAdapterReqInput {
    UnloadLoRAAdapterReqInput { lora_name: name.to_owned(), lora_id: Some(lora_id), ..Default::default() }
}
