//! Names and ids of LoRA adapters (reference: `lora/lora_registry.py`, `arg_groups/lora_hook.py`).

use serde_json::Value;
use uuid::Uuid;

use crate::wire::positional;

/// Error for requests about adapters if the server runs without `--enable-lora`.
pub const LORA_OFF: &str = "LoRA is not enabled. Please set `--enable-lora` to enable LoRA.";

positional! {
    /// Name, path and unique id of an adapter. A later adapter with the same name has another id, because the prefix
    /// cache distinguishes adapters by id.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LoRARef {
        /// Unique id.
        pub lora_id: String = String::new(),
        /// Name in requests.
        pub lora_name: Option<String> = None,
        /// Folder of the adapter.
        pub lora_path: Option<String> = None,
        /// Whether it stays in the memory pool.
        pub pinned: Option<bool> = None,
    }
}

impl LoRARef {
    /// An adapter to load while the server runs, with a new id.
    pub fn new(name: &str, path: &str, pinned: bool) -> Self {
        Self::with_id(Uuid::new_v4(), name, path, pinned)
    }

    /// An adapter of the command line. Every process parses the command line separately, so the id is derived from name
    /// and path.
    pub fn at_start(name: &str, path: &str, pinned: bool) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{name}\0{path}").as_bytes());
        Self::with_id(id, name, path, pinned)
    }

    fn with_id(id: Uuid, name: &str, path: &str, pinned: bool) -> Self {
        Self {
            lora_id: id.simple().to_string(),
            lora_name: Some(name.to_owned()),
            lora_path: Some(path.to_owned()),
            pinned: Some(pinned),
        }
    }

    /// Parses an item of `--lora-paths`: `PATH`, `NAME=PATH`, or an object with `lora_name`, `lora_path` and optionally
    /// `pinned`.
    ///
    /// # Errors
    /// The object lacks a key, or a value has the wrong type.
    pub fn from_flag(item: &str) -> Result<Self, String> {
        let item = item.trim();
        if item.is_empty() {
            return Err(format!("expected {FORMS}"));
        }
        if !(item.starts_with('{') && item.ends_with('}')) {
            let (name, path) = item.split_once('=').unwrap_or((item, item));
            return Ok(Self::at_start(name, path, false));
        }
        let object: Value = serde_json::from_str(item).map_err(|e| format!("{item} is not JSON: {e}"))?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let (Some(name), Some(path)) = (text("lora_name"), text("lora_path")) else {
            return Err(format!(
                "'{item}' looks like a JSON str, but it does not contain 'lora_name' and 'lora_path' keys."
            ));
        };
        match object.get("pinned").unwrap_or(&Value::Null) {
            Value::Null => Ok(Self::at_start(name, path, false)),
            Value::Bool(pinned) => Ok(Self::at_start(name, path, *pinned)),
            other => Err(format!("'pinned' of '{item}': expected true or false, found {other}")),
        }
    }

    /// Name in requests; the id if the adapter has no name.
    pub fn name(&self) -> &str {
        self.lora_name.as_deref().unwrap_or(&self.lora_id)
    }

    /// Folder of the adapter; empty if there is none.
    pub fn path(&self) -> &str {
        self.lora_path.as_deref().unwrap_or_default()
    }

    /// Whether it stays in the memory pool.
    pub fn is_pinned(&self) -> bool {
        self.pinned == Some(true)
    }
}

const FORMS: &str = "PATH, NAME=PATH or {\"lora_name\": str, \"lora_path\": str, \"pinned\": bool}";

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(item: &str) -> (String, String, bool) {
        let lora = LoRARef::from_flag(item).unwrap();
        (lora.name().to_owned(), lora.path().to_owned(), lora.is_pinned())
    }

    #[test]
    fn the_three_forms_of_a_flag() {
        assert_eq!(parts("/a/b"), ("/a/b".into(), "/a/b".into(), false));
        assert_eq!(parts("x=/a=b"), ("x".into(), "/a=b".into(), false));
        let json = r#"{"lora_name": "n", "lora_path": "/p", "pinned": true}"#;
        assert_eq!(parts(json), ("n".into(), "/p".into(), true));
        assert!(LoRARef::from_flag(r#"{"lora_name": "n"}"#).unwrap_err().contains("'lora_path'"));
        assert!(LoRARef::from_flag(r#"{"lora_name": "n", "lora_path": "p", "pinned": 1}"#).is_err());
        assert!(LoRARef::from_flag(" ").is_err());
    }

    /// Equals `uuid5(NAMESPACE_URL, "x\0/p").hex` in Python.
    #[test]
    fn ids_of_the_command_line_are_the_references() {
        assert_eq!(LoRARef::from_flag("x=/p").unwrap().lora_id, "e49da757addc5c10b8d78c2be82d43c6");
        assert_ne!(LoRARef::new("x", "/p", false).lora_id, LoRARef::new("x", "/p", false).lora_id);
    }
}
