//! Checks the value of each flag by the range and the rule in its row.

use serde_json::Value;

use super::ServerArgs;
use super::exit::Exit;
use super::flags::find;
use super::spec::FlagSpec;
use super::table::FLAGS;

impl ServerArgs {
    /// Checks the range of every flag, then the rules between flags. The error names the flag and what would be valid.
    pub(super) fn check(self) -> Result<Self, Exit> {
        let values = self.fields_json();
        let value = |flag: &FlagSpec| values.get(flag.field).unwrap_or(&Value::Null);
        for flag in FLAGS {
            if !flag.range.contains(value(flag)) {
                return Err(Exit::bad_value(flag, &typed(value(flag)), &flag.expected()));
            }
        }
        self.check_rules(|flag, why| Exit::bad_value(flag, &typed(value(flag)), &why))?;
        Ok(self)
    }
}

/// A value as it would be typed after its flag.
fn typed(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(typed).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Checks a computed value by the range of the flag with this long name.
///
/// # Errors
/// What would be valid. For a name without a flag every value is.
pub fn check_range(long: &str, value: impl Into<Value>) -> Result<(), String> {
    match find(long) {
        Some(flag) if !flag.range.contains(&value.into()) => Err(flag.expected()),
        _ => Ok(()),
    }
}
