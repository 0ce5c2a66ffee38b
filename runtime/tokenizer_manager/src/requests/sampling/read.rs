//! Readers of sampling parameters, driven by the rows of the table. Native readers use the native names and exact
//! types; readers of a dialect use its names and the types that OpenAI's routes accept.

use serde_json::{Map, Value};
use sglang_proto::sampling_params::{
    Dialect, Given, Kind, Number, PARAMETERS, Parameter, ParameterValue, SamplingRequest,
};
use sglang_proto::wire::StringList;

use crate::requests::contract;
use crate::requests::probe::{self, Asked};
use crate::requests::validation::{Fields, Mismatch, Read, boolean, float, int, list, object, string};

/// Reads an object with native names, as the value of a field.
///
/// # Errors
/// If the value is not an object. Invalid members are refused later, when the request is built.
pub fn native_object(value: &Value) -> Read<SamplingRequest> {
    for name in contract::sampling_keys() {
        note(name, name);
    }
    object(value).map(|map| native(&map))
}

/// Reads parameters with native names: `sampling_params` of `/generate`, and `--preferred-sampling-params`.
pub fn native(map: &Map<String, Value>) -> SamplingRequest {
    let mut request = SamplingRequest::default();
    for (name, value) in map {
        match Parameter::by_name(name) {
            Some(row) => put(&mut request, row, value),
            None if value.is_null() || name == "choice" => {}
            None => refuse(&mut request, name, value),
        }
    }
    request
}

/// Reads an object with a dialect's names. Null counts as missing, and names that the dialect does not have are
/// ignored.
pub fn options(map: &Map<String, Value>, dialect: Dialect) -> SamplingRequest {
    let mut request = SamplingRequest::default();
    for row in PARAMETERS {
        let value = row.alias(dialect).and_then(|name| map.get(name));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            put(&mut request, row, value);
        }
    }
    request
}

/// Notes the names in a dialect's object, for the OpenAPI document.
pub fn note_options(dialect: Dialect) {
    for row in PARAMETERS {
        if let Some(name) = row.alias(dialect) {
            note(name, row.name);
        }
    }
}

/// Reads the fields of a body that are parameters in one of `dialects`, except those in `except`, which the dialect
/// reads itself. A parameter that is missing or null gets the built-in default; only parameters that the dialects do
/// not have are absent.
pub fn fields(f: &mut Fields<'_>, dialects: &[Dialect], except: &[&str]) -> SamplingRequest {
    let mut request = SamplingRequest::default();
    for row in PARAMETERS.iter().filter(|row| !except.contains(&row.name)) {
        if let Some(name) = dialects.iter().find_map(|dialect| row.alias(*dialect)) {
            // The reader returns a value of the row's kind, so setting it cannot fail.
            (row.set)(&mut request, Given::or_null(field(f, name, row.kind)));
            probe::describe(name, row.help);
        }
    }
    request
}

fn note(name: &'static str, native: &'static str) {
    probe::note(name, Asked::Optional, None, &|value| {
        contract::check_sampling(native, value).map_err(|error| Mismatch::rule(error.0, value))
    });
    if let Some(row) = Parameter::by_name(native) {
        probe::describe(name, row.help);
    }
}

fn put(request: &mut SamplingRequest, row: &Parameter, value: &Value) {
    let given = match value.is_null() {
        true => Some(Given::Null),
        false => exact(value, row.kind).map(Given::Value),
    };
    if given.and_then(|given| (row.set)(request, given)).is_none() {
        refuse(request, row.name, value);
    }
}

fn refuse(request: &mut SamplingRequest, name: &str, value: &Value) {
    request.misfit.get_or_insert_with(|| {
        format!("sampling parameter {name} has an unknown name or a value of the wrong type: {value}")
    });
}

/// A value of exactly the JSON type of `kind`.
fn exact(value: &Value, kind: Kind) -> Option<ParameterValue> {
    Some(match kind {
        Kind::Int => ParameterValue::Int(value.as_i64()?),
        Kind::Float => ParameterValue::Float(Number { value: value.as_f64()?, is_whole: !value.is_f64() }),
        Kind::Bool => ParameterValue::Bool(value.as_bool()?),
        Kind::Text => ParameterValue::Text(value.as_str()?.to_owned()),
        Kind::Texts => ParameterValue::Texts(StringList(match value {
            Value::String(text) => vec![text.clone()],
            other => items(other, |item| item.as_str().map(str::to_owned))?,
        })),
        Kind::Ids => ParameterValue::Ids(items(value, Value::as_i64)?),
        Kind::Bias => {
            let biases = value.as_object()?.iter().map(|(id, bias)| Some((id.clone(), bias.as_f64()?)));
            ParameterValue::Bias(biases.collect::<Option<_>>()?)
        }
        Kind::Json => ParameterValue::Json(value.clone()),
    })
}

fn items<T>(value: &Value, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(item).collect()
}

/// Reads a field of a body with the types that OpenAI's routes accept for `kind`.
fn field(f: &mut Fields<'_>, name: &'static str, kind: Kind) -> Option<ParameterValue> {
    match kind {
        Kind::Int => f.optional(name, int).map(ParameterValue::Int),
        Kind::Float => f.optional(name, float).map(|number| ParameterValue::Float(number.into())),
        Kind::Bool => f.optional(name, boolean).map(ParameterValue::Bool),
        Kind::Text => f.optional(name, string).map(ParameterValue::Text),
        Kind::Texts => {
            let many = list(string);
            let texts = f.union(
                name,
                &[
                    ("str", &|v: &Value| string(v).map(|text| vec![text])),
                    ("list[str]", &|v: &Value| many(v)),
                ],
            );
            texts.map(|texts| ParameterValue::Texts(StringList(texts)))
        }
        Kind::Ids => f.optional(name, list(int)).map(ParameterValue::Ids),
        Kind::Bias => {
            let read = |value: &Value| {
                object(value)?.into_iter().map(|(id, bias)| Ok((id, float(&bias)?))).collect()
            };
            f.optional(name, read).map(ParameterValue::Bias)
        }
        Kind::Json => f.optional(name, object).map(|map| ParameterValue::Json(map.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A value that every reader accepts for a row, as `/generate` writes it.
    fn sample(kind: Kind) -> Value {
        match kind {
            Kind::Int => json!(3),
            Kind::Float => json!(0.5),
            Kind::Bool => json!(true),
            Kind::Text => json!("t"),
            Kind::Texts => json!(["a", "b"]),
            Kind::Ids => json!([1, 2]),
            Kind::Bias => json!({"7": 1.5}),
            Kind::Json => json!({"k": 1}),
        }
    }

    #[test]
    fn every_row_means_the_same_in_every_dialect() {
        for row in PARAMETERS {
            let value = sample(row.kind);
            let one = |name: &str| Map::from_iter([(name.to_owned(), value.clone())]);
            let expected = native(&one(row.name));
            assert_ne!(expected, SamplingRequest::default(), "{} is not read", row.name);
            assert_eq!(expected.misfit, None, "{}", row.name);
            for (dialect, name) in row.aliases {
                let body = one(name);
                let read = match dialect {
                    Dialect::Ollama => options(&body, *dialect),
                    _ => {
                        let mut f = Fields::of_body(&body);
                        let read = fields(&mut f, &[*dialect], &[]);
                        f.finish(Some(read)).unwrap()
                    }
                };
                let json = |request: &SamplingRequest| (row.json)(&request.to_params());
                assert_eq!(json(&read), json(&expected), "{name} in {dialect:?}");
            }
        }
    }

    #[test]
    fn what_a_body_leaves_out_is_null_and_what_its_dialect_lacks_is_absent() {
        let body = json!({"temperature": null, "seed": 3}).as_object().cloned().unwrap();
        let mut f = Fields::of_body(&body);
        let read = fields(&mut f, &[Dialect::OpenAi], &["n"]);
        assert_eq!((&read.temperature, &read.top_p), (&Given::Null, &Given::Null));
        assert_eq!(read.sampling_seed, Given::Value(3));
        assert!(read.n.is_absent() && read.json_schema.is_absent() && read.stream_interval.is_absent());
    }

    #[test]
    fn the_first_parameter_that_does_not_fit_is_named() {
        for (map, text) in [
            (json!({"temperature": "hot", "seed": 1}), "sampling parameter temperature has"),
            (json!({"seed": 1, "temperature": "hot"}), "sampling parameter seed has an unknown name"),
            (json!({"n": u64::MAX}), "the wrong type: 18446744073709551615"),
        ] {
            let misfit = native(map.as_object().unwrap()).misfit.unwrap();
            assert!(misfit.contains(text), "{misfit}");
        }
        let nulls = json!({"n": null, "choice": ["a"], "other": null});
        assert_eq!(native(nulls.as_object().unwrap()).misfit, None);
    }
}
