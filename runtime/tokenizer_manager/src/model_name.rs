//! The meaning of a request's `model`: one rule for all routes.

/// The name that stands for the loaded model, like a missing name.
pub const DEFAULT_MODEL: &str = "default";

/// A `model` that is neither the served model nor an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    asked: String,
    known: Vec<String>,
}

impl UnknownModel {
    /// `asked` is not a served name; `known` are the names that the client may learn.
    pub fn new(asked: &str, known: Vec<String>) -> Self {
        Self { asked: asked.to_owned(), known }
    }

    /// The text for the client.
    pub fn message(&self) -> String {
        let message = format!("The model '{}' does not exist", self.asked);
        match self.known.is_empty() {
            true => message,
            false => format!("{message}. This server has: {}", self.known.join(", ")),
        }
    }
}

/// The adapter that `model` names, if any. `adapters` are the names of all adapters; `None` if LoRA is off.
///
/// An adapter is named as listed, or after a colon: after the served name, else after the first colon (as in the
/// reference). Whether it exists is checked when the request acquires it.
///
/// # Errors
/// On a server with adapters, for a name that is not served: it is most likely a misspelt adapter. Without adapters
/// every name means the model, as in the reference.
pub fn adapter_of(
    model: &str,
    served: &str,
    adapters: Option<&[String]>,
) -> Result<Option<String>, UnknownModel> {
    if model == served {
        return Ok(None);
    }
    if adapters.is_some_and(|names| names.iter().any(|name| name == model)) {
        return Ok(Some(model.to_owned()));
    }
    let behind_colon = match model.strip_prefix(served).and_then(|rest| rest.strip_prefix(':')) {
        Some(adapter) => Some(adapter),
        None => model.split_once(':').map(|(_, adapter)| adapter),
    };
    match (behind_colon.map(str::trim).filter(|name| !name.is_empty()), adapters) {
        (Some(adapter), _) => Ok(Some(adapter.to_owned())),
        (None, Some(names)) if !["", DEFAULT_MODEL].contains(&model) => {
            let known = [served].into_iter().chain(names.iter().map(String::as_str));
            Err(UnknownModel::new(model, known.map(str::to_owned).collect()))
        }
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_selects_an_adapter_unless_it_is_part_of_the_served_name() {
        let of = |model, served| adapter_of(model, served, None).unwrap();
        assert_eq!(of("m:adapter", "x").as_deref(), Some("adapter"));
        assert_eq!(of("s3://bucket", "s3://bucket"), None);
        assert_eq!(of("s3://bucket:a", "s3://bucket").as_deref(), Some("a"));
        assert_eq!(of("m", "x"), None);
        assert_eq!(of("m:", "x"), None);
    }

    #[test]
    fn an_adapter_is_named_as_it_is_listed_and_unknown_names_are_refused_where_there_are_adapters() {
        let adapters = ["sql".to_owned(), "/adapters/chat".to_owned(), "team:poet".to_owned()];
        let of = |model| adapter_of(model, "base", Some(&adapters));
        for name in &adapters {
            assert_eq!(of(name), Ok(Some(name.clone())));
        }
        assert_eq!(of("base:team:poet"), Ok(Some("team:poet".to_owned())));
        for base in ["base", "default", ""] {
            assert_eq!(of(base), Ok(None));
        }
        let error = of("sqll").unwrap_err();
        assert_eq!(
            error.message(),
            "The model 'sqll' does not exist. This server has: base, sql, /adapters/chat, team:poet"
        );
        assert_eq!(UnknownModel::new("x", Vec::new()).message(), "The model 'x' does not exist");
    }
}
