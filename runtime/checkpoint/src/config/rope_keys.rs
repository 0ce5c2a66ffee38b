//! Normalises the rope keys of a configuration, as transformers 5 does (`RotaryEmbeddingConfigMixin`).
//!
//! Files have `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` (transformers 5), or both.
//! [`unify`] leaves one of the two objects. If the kinds of layers of a family rotate differently, `rope_parameters`
//! has one object per kind.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

const SCALING: &str = "rope_scaling";
const PARAMETERS: &str = "rope_parameters";
const ORIGINAL: &str = "original_max_position_embeddings";
pub(super) const FULL: &str = "full_attention";
pub(super) const SLIDING: &str = "sliding_attention";

/// Rope keys that are not about scaling.
const UNSCALED: [&str; 2] = ["rope_theta", "partial_rotary_factor"];
/// Families whose `rope_parameters` have one object for sliding-window layers and one for full-attention layers.
const PER_LAYER: [&str; 3] = ["gemma3", "gemma3_text", "olmo3"];
/// Scalings that need the trained length.
const WITH_ORIGINAL: [&str; 3] = ["llama3", "yarn", "longrope"];
/// Default of `original_max_position_embeddings` for Phi-3.
const PHI3_ORIGINAL: u64 = 4096;

/// Leaves one of the two objects in a configuration: `rope_scaling` if it is not empty, otherwise `rope_parameters`.
/// Fills in the trained length of scalings that need one but leave it out.
pub(super) fn unify(config: &mut Object) {
    let model_type = text(config, "model_type");
    if config.get(PARAMETERS).is_some_and(is_empty) {
        config.remove(PARAMETERS);
    }
    if config.get(SCALING).is_some_and(is_empty) {
        config.remove(SCALING);
    }
    if let Some(Value::Object(_)) = config.get(SCALING)
        && let Some(Value::Object(parameters)) = config.get_mut(PARAMETERS)
    {
        match PER_LAYER.contains(&model_type.as_str()) {
            true => {
                let mut parameters = std::mem::take(parameters);
                if let Some(Value::Object(scaling)) = config.remove(SCALING) {
                    on_full(&mut parameters, |full| full.extend(scaling));
                }
                config.insert(PARAMETERS.to_owned(), parameters.into());
            }
            false => {
                warn_of_loss(config);
                config.remove(PARAMETERS);
            }
        }
    }
    if model_type == "gpt_oss" && used_mut(config).is_none() {
        config.insert(PARAMETERS.to_owned(), gpt_oss());
    }
    let (max_position, own) = (config.get("max_position_embeddings").cloned(), config.get(ORIGINAL).cloned());
    let Some(object) = used_mut(config) else { return };
    for rotation in rotations_mut(object) {
        let mut kind = kind(rotation);
        if model_type == "phi3" && (kind == "su" || kind == "yarn") {
            kind = "longrope".to_owned();
            rotation.insert("rope_type".to_owned(), "longrope".into());
        }
        if !WITH_ORIGINAL.contains(&kind.as_str()) {
            continue;
        }
        let inside = rotation.get(ORIGINAL).filter(|length| !length.is_null()).cloned();
        let length = match model_type.as_str() {
            // Phi-3 has the trained length beside the object; that value takes precedence.
            "phi3" => own.clone().or(inside).or_else(|| Some(PHI3_ORIGINAL.into())),
            _ => inside.or_else(|| max_position.clone()),
        };
        if let Some(length) = length {
            rotation.insert(ORIGINAL.to_owned(), length);
        }
    }
}

/// The default rotation of gpt-oss.
fn gpt_oss() -> Value {
    json!({"rope_type": "yarn", "factor": 32.0, "truncate": false, ORIGINAL: 4096})
}

/// Whether `key` is one of the two rope objects.
pub(super) fn is_object_key(key: &str) -> bool {
    [SCALING, PARAMETERS].contains(&key)
}

/// Applies the rope keys of `--json-model-override-args` to a unified configuration. Objects are merged into the
/// file's, so a new scaling keeps the file's `rope_theta` (as in the reference). Null removes the scaling.
pub(super) fn override_with(config: &mut Object, new: &Object) {
    for key in [PARAMETERS, SCALING] {
        let Some(value) = new.get(key) else { continue };
        let current = [SCALING, PARAMETERS].iter().find_map(|key| config.remove(*key));
        let merged = match (current, value) {
            (Some(Value::Object(current)), Value::Object(value)) => merge(current, value).into(),
            (Some(Value::Object(mut current)), Value::Null) => {
                on_full(&mut current, |full| full.retain(|key, _| UNSCALED.contains(&key.as_str())));
                current.into()
            }
            _ => value.clone(),
        };
        config.insert(key.to_owned(), merged);
    }
    // Keys in the object take precedence over keys beside it, and overrides over both.
    let Some(object) = used_mut(config) else { return };
    for key in UNSCALED {
        let inside = [SCALING, PARAMETERS].iter().any(|o| new.get(*o).and_then(|o| o.get(key)).is_some());
        if let Some(value) = new.get(key).filter(|_| !inside) {
            on_full(object, |full| full.get_mut(key).map(|old| old.clone_from(value)));
        }
    }
    if let (Some(base), Some(Value::Object(sliding))) =
        (new.get("rope_local_base_freq"), object.get_mut(SLIDING))
    {
        sliding.insert("rope_theta".to_owned(), base.clone());
    }
}

fn merge(mut current: Object, value: &Object) -> Object {
    if [FULL, SLIDING].iter().any(|kind| value.get(*kind).is_some_and(Value::is_object)) {
        current.extend(value.clone());
        return current;
    }
    on_full(&mut current, |full| {
        // Otherwise the file's `rope_type` would take precedence over the override's older `type`.
        if value.contains_key("type") && !value.contains_key("rope_type") {
            full.remove("rope_type");
        }
        full.extend(value.clone());
    });
    current
}

/// Factor from the trained positions to the context length (reference: `get_context_length`). It is 1 if the object
/// states its original length.
pub(super) fn context_factor(config: &Object) -> f64 {
    let Some(Value::Object(object)) = [SCALING, PARAMETERS].iter().find_map(|key| config.get(*key)) else {
        return 1.0;
    };
    let per_layer = [FULL, SLIDING].iter().any(|kind| object.contains_key(*kind))
        || PER_LAYER.contains(&text(config, "model_type").as_str());
    let stretches = ["linear", "dynamic", "yarn"].contains(&kind(object).as_str());
    if per_layer || !stretches || object.get(ORIGINAL).is_some_and(|length| !length.is_null()) {
        return 1.0;
    }
    object.get("factor").and_then(Value::as_f64).filter(|factor| *factor >= 1.0).unwrap_or(1.0)
}

/// Warns about settings in `rope_parameters` that `rope_scaling` makes ineffective.
fn warn_of_loss(config: &Object) {
    let (Some(scaling), Some(Value::Object(parameters))) = (config.get(SCALING), config.get(PARAMETERS))
    else {
        return;
    };
    let differs = |key: &&str| {
        let used = scaling.get(*key).or_else(|| config.get(*key));
        parameters.get(*key).is_some_and(|value| Some(value) != used)
    };
    let lost: Vec<String> = UNSCALED
        .into_iter()
        .filter(differs)
        .filter_map(|key| Some(format!("{key} {}", parameters.get(key)?)))
        .collect();
    let hint = match lost.is_empty() {
        true => String::new(),
        false => format!("; its {} is not used, write it into rope_scaling to keep it", lost.join(" and ")),
    };
    tracing::warn!("config.json has rope_scaling beside rope_parameters: rope_scaling is used{hint}");
}

/// The rope type of a rotation.
fn kind(rotation: &Object) -> String {
    let name = ["rope_type", "type"].iter().find_map(|key| rotation.get(*key)?.as_str());
    name.unwrap_or("default").to_owned()
}

/// The rope object that is used.
fn used_mut(config: &mut Object) -> Option<&mut Object> {
    let key = if config.contains_key(SCALING) { SCALING } else { PARAMETERS };
    config.get_mut(key)?.as_object_mut()
}

/// Changes the rotation of full-attention layers.
fn on_full<T>(object: &mut Object, change: impl FnOnce(&mut Object) -> T) -> T {
    match object.get_mut(FULL) {
        Some(Value::Object(full)) => change(full),
        _ => change(object),
    }
}

/// All rotations in the object: one, or one per kind of layer.
fn rotations_mut(object: &mut Object) -> Vec<&mut Object> {
    if ![FULL, SLIDING].iter().any(|kind| object.get(*kind).is_some_and(Value::is_object)) {
        return vec![object];
    }
    let nested = object.iter_mut().filter(|(key, _)| [FULL, SLIDING].contains(&key.as_str()));
    nested.filter_map(|(_, value)| value.as_object_mut()).collect()
}

fn text(config: &Object, key: &str) -> String {
    config.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
