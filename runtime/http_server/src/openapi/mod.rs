//! `/openapi.json` and `/docs`. Paths, methods and keys come from the table of routes, and the fields of bodies from
//! the code that parses them (`requests::probe`).

mod about;
mod bodies;
mod examples;
mod responses;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::probe::object_schema;

use crate::apis::native::info::API_VERSION;
use crate::app::App;
use crate::http::route::{AuthTier, RouteSpec, root_path};

/// The page of `/docs`. It is self-contained and reads `/openapi.json`, for which it asks for the key.
const PAGE: &str = include_str!("page.html");

/// The page may run its own script and call this server, nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                           connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/// `GET /docs`. The page reveals nothing about the server, so everyone may read it.
pub async fn docs() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .body(PAGE)
}

/// The OpenAPI document of a server with these routes.
pub fn document(app: &App, routes: impl Iterator<Item = &'static RouteSpec>) -> Value {
    let mut paths = Map::new();
    for row in routes {
        let (path, parameters) = path_parameters(&app.env.moved_routes.path(row.path));
        let mut item = Map::new();
        for method in row.methods {
            item.insert(method.to_lowercase(), operation(row, method, &parameters));
        }
        paths.insert(path, Value::Object(item));
    }
    let key = |text: &str| json!({"type": "http", "scheme": "bearer", "description": text});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "sglang-rs", "version": API_VERSION, "description": "The HTTP API of the SGLang runtime."},
        "tags": about::GROUPS.map(|(name, text)| json!({"name": name, "description": text})),
        "servers": [{"url": if root_path(app).is_empty() { "/" } else { root_path(app) }}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": key("--api-key"),
                "adminApiKey": key("--admin-api-key; the API key when there is none"),
            },
            "schemas": responses::schemas(),
        },
    })
}

/// `{model:.+}` in the table becomes `{model}` and a parameter.
fn path_parameters(pattern: &str) -> (String, Vec<Value>) {
    let Some((before, rest)) = pattern.split_once('{') else { return (pattern.to_owned(), Vec::new()) };
    let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
    let name = name.split(':').next().unwrap_or(name);
    let parameter = json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    (format!("{before}{{{name}}}{after}"), vec![parameter])
}

fn operation(row: &RouteSpec, method: &str, path_parameters: &[Value]) -> Value {
    let name = row.path.trim_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let mut parameters = path_parameters.to_vec();
    parameters.extend(bodies::query(row.path));
    let (group, summary) = about::about(row.path);
    let mut operation = json!({
        "operationId": format!("{}_{}", method.to_lowercase(), if name.is_empty() { "root" } else { &name }),
        "tags": [group],
        "summary": summary,
        "parameters": parameters,
        "responses": responses::of(row.path),
    });
    if let Some(body) = bodies::body(row.path).filter(|_| matches!(method, "POST" | "PUT")) {
        let examples: Map<String, Value> = body
            .examples
            .iter()
            .map(|example| {
                (example.summary.to_owned(), json!({"summary": example.summary, "value": example.body}))
            })
            .collect();
        let content = json!({"schema": object_schema(&body.fields()), "examples": examples});
        operation["requestBody"] =
            json!({"required": !body.optional, "content": {"application/json": content}});
    }
    let security = match row.tier {
        AuthTier::Open => json!([]),
        AuthTier::Normal => json!([{"apiKey": []}]),
        AuthTier::AdminOptional => json!([{"adminApiKey": []}]),
    };
    operation["security"] = security;
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::routes::ROUTES;

    #[test]
    fn patterns_become_path_parameters() {
        assert_eq!(path_parameters("/generate"), ("/generate".into(), vec![]));
        let (path, parameters) = path_parameters("/v1/models/{model:.+}");
        assert_eq!((path.as_str(), &parameters[0]["name"]), ("/v1/models/{model}", &json!("model")));
    }

    #[test]
    fn every_route_has_a_group_and_a_line_about_it() {
        for row in ROUTES {
            let (group, summary) = about::about(row.path);
            assert!(about::GROUPS.iter().any(|(name, _)| *name == group), "{group} of {}", row.path);
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{summary} of {}", row.path);
            let is_known = bodies::body(row.path).is_none() || group != "Not supported";
            let is_disabled = ["/remove_external_corpus", "/pd_role_switch"].contains(&row.path);
            assert!(is_known || is_disabled, "{} needs a line of its own", row.path);
        }
    }

    fn properties(path: &str) -> Map<String, Value> {
        let schema = object_schema(&bodies::body(path).unwrap().fields());
        schema["properties"].as_object().cloned().unwrap()
    }

    #[test]
    fn every_example_is_accepted_and_all_its_fields_are_in_the_document() {
        for row in ROUTES {
            let Some(body) = bodies::body(row.path) else { continue };
            let documented = properties(row.path);
            for example in &body.examples {
                let path = row.path;
                let read = (body.read)(&example.body);
                let wanted = !example.body.is_empty() || !body.fields().iter().any(|field| field.required);
                assert!(!wanted || read.is_ok(), "{path} {}: {read:?}", example.summary);
                assert!(wanted, "{path} needs an example with what is required");
                let unknown: Vec<&String> =
                    example.body.keys().filter(|key| !documented.contains_key(*key)).collect();
                assert!(unknown.is_empty(), "{path} {}: {unknown:?}", example.summary);
            }
        }
    }

    /// Every word in the sources of this crate and of the tokenizer manager that could be a field's name.
    fn words() -> std::collections::BTreeSet<String> {
        let mut words = std::collections::BTreeSet::new();
        let here = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![here.join("src"), here.join("../tokenizer_manager/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let is_name = |word: &&str| {
                    (1..60).contains(&word.len())
                        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                };
                words.extend(text.split('"').filter(is_name).map(str::to_owned));
            }
        }
        words
    }

    /// Replaces generated ids, which differ each time.
    fn settled(shown: Result<String, String>) -> Result<String, String> {
        let hide = |text: String| {
            let is_id = |word: &&str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
            let parts: Vec<&str> = text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .map(|word| if is_id(&word) { "ID" } else { word })
                .collect();
            parts.join(" ")
        };
        shown.map(hide).map_err(hide)
    }

    #[test]
    fn no_reader_reads_a_field_that_the_document_does_not_have() {
        let words = words();
        assert!(words.len() > 500 && words.contains("stream_options"), "{} words", words.len());
        let junk = [json!("\u{1}x"), json!({"x": [1]}), json!(-7.5), json!(true)];
        let (mut tried, mut unknown) = (0, Vec::new());
        for row in ROUTES {
            let Some(body) = bodies::body(row.path) else { continue };
            let documented = properties(row.path);
            for example in &body.examples {
                let plain = settled((body.read)(&example.body));
                for word in words.iter().filter(|word| !documented.contains_key(*word)) {
                    for value in &junk {
                        let mut with = example.body.clone();
                        with.insert(word.clone(), value.clone());
                        tried += 1;
                        let read = settled((body.read)(&with));
                        // Some errors show the whole body, so only their presence is compared.
                        if read.is_err() != plain.is_err() || (read.is_ok() && read != plain) {
                            unknown.push(format!("{} reads {word}", row.path));
                        }
                    }
                }
            }
        }
        unknown.dedup();
        assert!(unknown.is_empty(), "{}", unknown.join("\n"));
        assert!(tried > 50_000, "{tried}");
    }

    #[test]
    fn every_documented_field_is_read() {
        for row in ROUTES {
            let Some(body) = bodies::body(row.path) else { continue };
            for field in body.fields() {
                let values = [
                    json!("\u{1}x"),
                    json!({"x": [1]}),
                    json!(-7.5),
                    json!(true),
                    json!(3),
                    json!(0),
                    json!([1]),
                    json!("a"),
                    json!([]),
                    json!({}),
                    json!([{}]),
                ];
                let is_read = body.examples.iter().any(|example| {
                    let mut without = example.body.clone();
                    without.shift_remove(field.name);
                    let plain = settled((body.read)(&without));
                    values.iter().any(|value| {
                        let mut with = without.clone();
                        with.insert(field.name.to_owned(), value.clone());
                        settled((body.read)(&with)) != plain
                    })
                });
                assert!(is_read, "{} does not read {}", row.path, field.name);
            }
        }
    }

    #[test]
    fn what_clients_look_for_is_there() {
        for (path, names) in [
            (
                "/v1/chat/completions",
                vec!["model", "stream", "stream_options", "logprobs", "messages", "tools"],
            ),
            ("/v1/responses", vec!["model", "instructions", "tools", "stream", "input", "text"]),
            (
                "/generate",
                vec!["text", "image_data", "custom_logit_processor", "input_embeds", "custom_labels"],
            ),
            ("/update_weights_from_disk", vec!["model_path", "flush_cache", "manifest"]),
            ("/load_lora_adapter", vec!["lora_name", "lora_path", "pinned"]),
            ("/rerank", vec!["query", "documents", "rank_fields", "top_n"]),
            ("/api/embed", vec!["model", "input", "truncate"]),
        ] {
            let documented = properties(path);
            for name in names {
                assert!(documented.contains_key(name), "{path} has no {name}");
            }
        }
        let chat = properties("/v1/chat/completions");
        let message = &chat["messages"]["items"]["properties"];
        assert_eq!(message["content"]["type"], json!(["string", "array", "null"]), "{message}");
        assert_eq!(chat["stream_options"]["properties"]["include_usage"]["type"], json!(["boolean", "null"]));
        assert_eq!(chat["reasoning_effort"]["type"], json!(["number", "string", "null"]));
        let call = &message["tool_calls"]["items"]["properties"]["function"]["properties"];
        assert_eq!(call["arguments"]["type"], json!(["object", "string", "null"]));
        assert_eq!(chat["tool_choice"]["type"], json!(["string", "object", "null"]));
        let sampling = &properties("/generate")["sampling_params"]["properties"];
        assert_eq!(sampling["max_new_tokens"]["type"], json!(["integer", "null"]), "{sampling}");
        let options = &properties("/api/chat")["options"]["properties"];
        assert_eq!(options["num_predict"]["type"], json!(["integer", "null"]), "{options}");
        let responses = object_schema(&bodies::body("/v1/responses").unwrap().fields());
        assert_eq!(responses["properties"]["input"]["type"], json!(["string", "array"]));
        assert_eq!(responses["required"], json!(["input"]));
    }
}
