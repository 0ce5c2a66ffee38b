//! `/openapi.json` and `/docs`. Paths, methods and keys come from the table of routes; the fields of bodies from the code
//! that parses them (`requests::probe`).

mod bodies;
mod responses;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::http::auth::AuthTier;
use crate::http::info::API_VERSION;
use crate::http::reply;
use crate::http::routes::{RouteSpec, root_path, served};
use crate::requests::probe::{self, FieldShape};

/// The page of `/docs`; it reads `/openapi.json`.
const PAGE: &str = include_str!("page.html");

/// `GET /openapi.json`.
pub async fn openapi_json(app: web::Data<App>) -> HttpResponse {
    reply::json(&document(&app))
}

/// `GET /docs`.
pub async fn docs() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(PAGE)
}

/// The OpenAPI document of a server.
pub fn document(app: &App) -> Value {
    let mut paths = Map::new();
    for row in served(app) {
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

/// `{model:.+}` of the table as `{model}`, and the parameter.
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
    let mut operation = json!({
        "operationId": format!("{}_{}", method.to_lowercase(), if name.is_empty() { "root" } else { &name }),
        "parameters": parameters,
        "responses": responses::of(row.path),
    });
    let read = bodies::reader(row.path);
    if let Some((read, optional)) = read.filter(|_| matches!(method, "POST" | "PUT")) {
        let schema = body_schema(&probe::fields_of(read));
        operation["requestBody"] =
            json!({"required": !optional, "content": {"application/json": {"schema": schema}}});
    }
    let security = match row.tier {
        AuthTier::Open => json!([]),
        AuthTier::Normal => json!([{"apiKey": []}]),
        AuthTier::AdminOptional => json!([{"adminApiKey": []}]),
    };
    operation["security"] = security;
    operation
}

/// Fields that are not listed are ignored, as everywhere in this API.
fn body_schema(fields: &[FieldShape]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema.clone())).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_path_parameters() {
        assert_eq!(path_parameters("/generate"), ("/generate".into(), vec![]));
        let (path, parameters) = path_parameters("/v1/models/{model:.+}");
        assert_eq!((path.as_str(), &parameters[0]["name"]), ("/v1/models/{model}", &json!("model")));
    }
}
