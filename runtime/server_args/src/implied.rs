//! Values of flags that follow from other flags (reference: `arg_groups/serving_hook.py`, `arg_groups/lora_hook.py`).

use super::ServerArgs;

impl ServerArgs {
    /// Fills in the values that follow from other flags.
    pub(super) fn with_implied(mut self) -> Self {
        // Old names of the same parsers; the reference reports the new ones.
        match self.tool_call_parser.as_deref() {
            Some("qwen25") => self.tool_call_parser = Some("qwen".to_owned()),
            Some("glm45") => self.tool_call_parser = Some("glm".to_owned()),
            _ => {}
        }
        if self.enable_return_hidden_states && self.return_hidden_states_mode.is_none() {
            self.return_hidden_states_mode = Some("full".to_owned());
        }
        self.enable_return_hidden_states = self.return_hidden_states_mode.is_some();
        self.enable_lora |= self.lora_paths.as_ref().is_some_and(|paths| !paths.is_empty());
        self
    }
}
