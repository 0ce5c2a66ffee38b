//! The OpenAPI document, and random calls generated from it: the server must answer each as the document says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sglang_http_server::server::routes::ROUTES;
use sglang_proto::messages::{AnyMessage, GetWeightsByNameReqOutput, UpdateWeightFromDiskReqOutput};

use crate::common;
use crate::common::TestServer;

/// Calls per route.
const CALLS: usize = 60;
/// Left out because a pause would block every later call.
const LEFT_OUT: [&str; 1] = ["/pause_generation"];

/// A small random number generator (xorshift) with a fixed seed, so that failures are reproducible.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }

    /// Any JSON value.
    fn junk(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.chance(50)),
            2 => json!(self.pick(&[0i64, 1, -1, 7, i64::MAX, i64::MIN])),
            3 => json!(self.pick(&[0.5f64, -1e300, 1e300, 2.0])),
            4 | 5 => json!(self.pick(&["", "x", "a word", "\u{0}", "é😀", "null", "-1", "{\"a\":"])),
            6 => json!([]),
            7 => json!({}),
            8 => json!([self.junk(depth - 1), self.junk(depth - 1)]),
            _ => json!({"type": self.junk(depth - 1), "text": self.junk(depth - 1)}),
        }
    }

    /// A value that matches the schema, or sometimes another one.
    fn value(&mut self, schema: &Value) -> Value {
        if self.chance(10) {
            return self.junk(2);
        }
        if let Some(words) = schema["enum"].as_array() {
            return self.pick(words);
        }
        let types: Vec<Value> = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::String(one) => vec![json!(one)],
            _ => return self.junk(2),
        };
        let least = schema["minimum"].as_i64().unwrap_or(-3);
        match self.pick(&types).as_str().unwrap() {
            "string" => json!(self.pick(&["x", "hello there", "", "default", "m"])),
            "integer" => json!(least + self.below(6) as i64),
            "number" => json!(least as f64 + self.below(60) as f64 / 10.0),
            "boolean" => json!(self.chance(50)),
            "array" => (0..self.below(4)).map(|_| self.value(&schema["items"])).collect(),
            "object" => match self.below(4) {
                0 => json!({}),
                1 => json!({"role": "user", "content": "hi"}),
                2 => json!({"temperature": self.junk(1), "max_new_tokens": 2, "id": self.junk(1)}),
                _ => self.junk(2),
            },
            "null" => Value::Null,
            other => panic!("the document has the type {other}"),
        }
    }

    fn body(&mut self, schema: &Value) -> Value {
        let mut body = Map::new();
        let required = schema["required"].as_array().unwrap();
        for (name, schema) in schema["properties"].as_object().unwrap() {
            let must = required.iter().any(|r| r == name);
            if self.chance(if must { 92 } else { 15 }) {
                body.insert(name.clone(), self.value(schema));
            }
        }
        Value::Object(body)
    }
}

/// Whether `body` has one of the shapes that the document allows for errors.
fn is_error(document: &Value, body: &Value) -> bool {
    document["components"]["schemas"]["Error"]["anyOf"].as_array().unwrap().iter().any(|shape| {
        let keys = shape["required"].as_array().unwrap();
        keys.iter().all(|key| {
            let key = key.as_str().unwrap();
            let wanted = &shape["properties"][key]["const"];
            body.get(key).is_some_and(|value| wanted.is_null() || wanted == value)
        })
    })
}

/// Makes one call. Describes what in its answer contradicts the document.
async fn call(
    server: &TestServer,
    document: &Value,
    (method, path): (&str, &str),
    operation: &Value,
    body: Option<&Value>,
) -> Option<String> {
    let path =
        path.replace("{model}", "some/model").replace("{rest}", "x").replace("{response_id}", "resp_1");
    let mut request = server.client.request(method.to_uppercase().parse().unwrap(), server.url(&path));
    if let Some(body) = body {
        request = request.json(body);
    }
    let what = || format!("{method} {path} {}", body.unwrap_or(&Value::Null));
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Some(format!("{}: {error}", what())),
    };
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().to_owned();
    let text = response.text().await.unwrap();
    let allowed = &operation["responses"][status.to_string()];
    if allowed.is_null() || status == 500 {
        return Some(format!("{}: status {status} {text}", what()));
    }
    let untyped = allowed.get("content").is_none();
    if kind.is_empty() != untyped && status == 200 && method != "head" {
        return Some(format!("{}: status {status} is {kind:?}: {text}", what()));
    }
    if !kind.is_empty() && !untyped && method != "head" && allowed["content"].get(&kind).is_none() {
        return Some(format!("{}: status {status} is {kind:?}: {text}", what()));
    }
    if kind == "application/json" && method != "head" {
        match serde_json::from_str::<Value>(&text) {
            Err(error) => return Some(format!("{}: {error}: {text}", what())),
            Ok(body) if status != 200 && !is_error(document, &body) => {
                return Some(format!("{}: no error of the document: {text}", what()));
            }
            Ok(_) => {}
        }
    }
    None
}

#[actix_web::test]
async fn the_document_names_every_route_with_its_fields_and_key() {
    let server = common::start(&["--fastapi-root-path", "/llm"]).await;
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{"url": "/llm"}]));
    assert_eq!(document["paths"].as_object().unwrap().len(), ROUTES.len());
    let generate = &document["paths"]["/generate"]["post"];
    let schema = &generate["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["stream"]["type"], json!(["boolean", "null"]));
    assert_eq!(schema["properties"]["text"]["type"], json!(["string", "array", "null"]));
    assert_eq!(generate["security"], json!([{"apiKey": []}]));
    let chat = &document["paths"]["/v1/chat/completions"]["post"]["requestBody"];
    assert!(
        chat["content"]["application/json"]["schema"]["required"]
            .as_array()
            .unwrap()
            .contains(&json!("messages"))
    );
    let pause = &document["paths"]["/pause_generation"]["post"];
    assert_eq!(pause["security"], json!([{"adminApiKey": []}]));
    let mode = &pause["requestBody"]["content"]["application/json"]["schema"]["properties"]["mode"];
    assert_eq!(mode["enum"], json!(["abort", "retract", "in_place", null]));
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values().map(|operation| &operation["operationId"]))
        .collect();
    let unique: BTreeSet<String> = ids.iter().map(|id| id.to_string()).collect();
    assert_eq!(unique.len(), ids.len(), "ids of operations are unique");
    for path in ["/docs", "/redoc"] {
        let page = server.get(path).await;
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(page.text().await.unwrap().contains("openapi.json"));
    }
}

/// Answers like a scheduler that refuses new weights and has no weight of any name.
fn refuse_calls(request: &AnyMessage) -> Option<AnyMessage> {
    match request {
        AnyMessage::UpdateWeightFromDiskReqInput(r) => Some(
            UpdateWeightFromDiskReqOutput {
                rid: r.rid.clone(),
                success: false,
                message: "no".into(),
                num_paused_requests: 0,
                weights_served: false,
            }
            .into(),
        ),
        AnyMessage::GetWeightsByNameReqInput(r) => {
            Some(GetWeightsByNameReqOutput { rid: r.rid.clone(), parameter: Value::Null }.into())
        }
        _ => None,
    }
}

#[actix_web::test]
async fn every_operation_has_a_group_a_summary_and_examples_that_are_served() {
    let server = common::start(&["--tool-call-parser", "hermes"]).await;
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    let groups: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let (mut served, mut used) = (0, BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let group = &operation["tags"][0];
            assert!(groups.contains(&group), "{method} {path}: {group}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            used.insert(group.to_string());
            let generates = ["\"OpenAI\"", "\"Anthropic\"", "\"Ollama\"", "\"Native\"", "\"Text tools\""];
            let content = &operation["requestBody"]["content"]["application/json"];
            for (name, example) in content["examples"].as_object().into_iter().flatten() {
                let is_vector = path.starts_with("/api/embed");
                if method == "post" && generates.contains(&group.to_string().as_str()) && !is_vector {
                    let (status, answer) = server.call(path, example["value"].clone()).await;
                    assert_eq!(status, 200, "{path} {name}: {answer}");
                    served += 1;
                }
            }
        }
    }
    assert_eq!(used.len(), groups.len(), "every group has an operation");
    assert!(served >= 20, "{served}");
}

#[actix_web::test]
async fn the_page_stands_alone_and_works_with_a_key() {
    let server = common::start(&["--api-key", "k"]).await;
    for path in ["/docs", "/redoc"] {
        let page = server.get(path).await;
        assert_eq!(page.status(), 200, "a browser cannot send a key with {path}");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("connect-src 'self'"));
        let page = page.text().await.unwrap();
        for foreign in ["http:", "https:", "src=", "@import", "//cdn", "innerHTML"] {
            assert!(!page.contains(foreign), "{path} has {foreign}");
        }
        for part in ["Authorization", "id=\"key\"", "id=\"search\"", "examples", "fetch("] {
            assert!(page.contains(part), "{path} lacks {part}");
        }
    }
    assert_eq!(server.get("/openapi.json").await.status(), 401);
    let with_key = server.client.get(server.url("/openapi.json")).bearer_auth("k").send().await.unwrap();
    assert_eq!(with_key.status(), 200);
}

#[actix_web::test]
async fn every_answer_to_a_call_made_from_the_document_is_in_the_document() {
    let server = common::start(&["--enable-metrics"]).await;
    server.engine.answer_calls(refuse_calls);
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut calls, mut wrong) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let at = (method.as_str(), path.as_str());
            let body = operation.get("requestBody").map(|b| &b["content"]["application/json"]["schema"]);
            let Some(schema) = body else {
                calls += 1;
                wrong.extend(call(&server, &document, at, operation, None).await);
                continue;
            };
            for i in 0..CALLS {
                let body = if i < 5 { random.junk(3) } else { random.body(schema) };
                calls += 1;
                wrong.extend(call(&server, &document, at, operation, Some(&body)).await);
            }
        }
    }
    assert!(calls > 1000, "{calls} calls");
    assert!(wrong.is_empty(), "{} of {calls} answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(
        server.ok("/generate", json!({"text": "x", "sampling_params": {"max_new_tokens": 1}})).await["text"],
        "x"
    );
}
