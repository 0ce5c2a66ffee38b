//! The table of routes. Every row must say who may call it.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::apis::native::{
    control, disabled, encode, expert_distribution, generate, health, info, loads, lora, memory, metrics,
    operations, parse, server_info, sessions, unsupported, vertex, weights,
};
use crate::apis::{anthropic, ollama, openai, responses};
use crate::app::App;
use crate::environment::client;
use crate::http::errors::ApiError;
use crate::http::reply;
use crate::http::route::AuthTier::{AdminOptional, Normal, Open};
use crate::http::route::{AuthTier, RouteSpec, root_path};
use crate::openapi;

const GET: &[&str] = &["GET"];
const GET_HEAD: &[&str] = &["GET", "HEAD"];
const POST: &[&str] = &["POST"];
const PUT_POST: &[&str] = &["PUT", "POST"];
const GET_POST: &[&str] = &["GET", "POST"];
const GET_PUT_DELETE: &[&str] = &["GET", "PUT", "DELETE"];

macro_rules! row {
    ($path:literal, $methods:expr, $tier:expr, $handler:path) => {
        RouteSpec { path: $path, methods: $methods, tier: $tier, handler: || web::to($handler) }
    };
}

/// Every route.
pub const ROUTES: &[RouteSpec] = &[
    row!("/", GET_HEAD, Normal, info::root),
    row!("/generate", PUT_POST, Normal, generate::generate),
    row!("/vertex_generate", POST, Normal, vertex::vertex_generate),
    row!("/health", GET, Open, health::health),
    row!("/health_generate", GET, Open, health::health_generate),
    row!("/ready", GET, Open, health::ready),
    row!("/openapi.json", GET, Normal, openapi_json),
    row!("/docs", GET, Open, openapi::docs),
    row!("/redoc", GET, Open, openapi::docs),
    row!("/metrics", GET, Open, metrics::metrics),
    row!("/metrics/{rest:.*}", GET, Open, metrics::metrics),
    row!("/ping", GET, Normal, health::ping),
    row!("/get_model_info", GET, Normal, info::get_model_info),
    row!("/model_info", GET, Normal, info::model_info),
    row!("/get_server_info", GET, Normal, server_info::server_info),
    row!("/server_info", GET, Normal, server_info::server_info),
    row!("/tokenize", POST, Normal, openai::tokenize::tokenize),
    row!("/v1/tokenize", POST, Normal, openai::tokenize::tokenize),
    row!("/detokenize", POST, Normal, openai::tokenize::detokenize),
    row!("/v1/detokenize", POST, Normal, openai::tokenize::detokenize),
    row!("/v1/chat/completions", POST, Normal, openai::chat::routes::chat_completions),
    row!("/invocations", POST, Normal, openai::chat::routes::invocations),
    row!("/v1/completions", POST, Normal, openai::completions::routes::completions),
    row!("/v1/messages", POST, Normal, anthropic::routes::messages),
    row!("/v1/messages/count_tokens", POST, Normal, anthropic::routes::count_tokens),
    row!("/v1/responses", POST, Normal, responses::routes::create),
    row!("/v1/responses/{response_id}", GET, Normal, responses::routes::retrieve),
    row!("/v1/responses/{response_id}/cancel", POST, Normal, responses::routes::cancel),
    row!("/parse_function_call", POST, Normal, parse::parse_function_call),
    row!("/separate_reasoning", POST, Normal, parse::separate_reasoning),
    row!("/v1/models", GET, Normal, openai::models::models),
    row!("/v1/models/{model:.*}", GET, Normal, openai::models::model),
    row!("/api/chat", POST, Normal, ollama::routes::chat),
    row!("/api/generate", POST, Normal, ollama::routes::generate),
    row!("/api/embed", POST, Normal, ollama::embed_routes::embed),
    row!("/api/embeddings", POST, Normal, ollama::embed_routes::embeddings),
    row!("/api/show", POST, Normal, ollama::model_routes::show),
    row!("/api/tags", GET, Normal, ollama::model_routes::tags),
    row!("/api/ps", GET, Normal, ollama::model_routes::ps),
    row!("/api/version", GET_HEAD, Normal, ollama::model_routes::version),
    row!("/encode", PUT_POST, Normal, encode::encode),
    row!("/classify", PUT_POST, Normal, encode::encode),
    row!("/v1/embeddings", POST, Normal, openai::embeddings::routes::embeddings),
    row!("/v1/classify", POST, Normal, openai::embeddings::routes::classify),
    row!("/v1/rerank", PUT_POST, Normal, openai::rerank::routes::rerank),
    row!("/rerank", PUT_POST, Normal, openai::rerank::routes::rerank),
    row!("/v2/rerank", PUT_POST, Normal, openai::rerank::routes::rerank),
    row!("/v1/score", POST, Normal, openai::embeddings::routes::score),
    row!("/v1/loads", GET, Normal, loads::loads),
    row!("/open_session", GET_POST, Normal, sessions::open_session),
    row!("/close_session", GET_POST, Normal, sessions::close_session),
    row!("/abort_request", POST, AdminOptional, control::abort_request),
    row!("/flush_cache", GET_POST, AdminOptional, control::flush_cache),
    row!("/pause_generation", POST, AdminOptional, control::pause_generation),
    row!("/continue_generation", POST, AdminOptional, control::continue_generation),
    row!("/update_weight_version", POST, AdminOptional, control::update_weight_version),
    row!("/set_internal_state", PUT_POST, AdminOptional, control::set_internal_state),
    row!("/configure_logging", GET_POST, AdminOptional, operations::configure_logging),
    row!("/start_profile", GET_POST, AdminOptional, operations::start_profile),
    row!("/stop_profile", GET_POST, AdminOptional, operations::stop_profile),
    row!("/freeze_gc", GET_POST, AdminOptional, control::freeze_gc),
    row!("/update_weights_from_disk", POST, AdminOptional, weights::update_weights_from_disk),
    row!("/get_weights_by_name", GET_POST, AdminOptional, weights::get_weights_by_name),
    row!("/update_weights_from_tensor", POST, AdminOptional, weights::from_other_processes),
    row!("/update_weights_from_distributed", POST, AdminOptional, weights::from_other_processes),
    row!("/update_weights_from_ipc", POST, AdminOptional, weights::from_other_processes),
    row!("/init_weights_update_group", POST, AdminOptional, weights::from_other_processes),
    row!("/destroy_weights_update_group", POST, AdminOptional, weights::from_other_processes),
    row!("/load_lora_adapter", POST, AdminOptional, lora::load),
    row!("/load_lora_adapter_from_tensors", POST, AdminOptional, lora::load_from_tensors),
    row!("/unload_lora_adapter", POST, AdminOptional, lora::unload),
    row!("/begin_weight_update", POST, AdminOptional, weights::from_other_processes),
    row!("/end_weight_update", POST, AdminOptional, weights::from_other_processes),
    // Monitoring and debugging: recordings, checksums, delays, traces, weights.
    row!("/start_expert_distribution_record", GET_POST, AdminOptional, expert_distribution::start),
    row!("/stop_expert_distribution_record", GET_POST, AdminOptional, expert_distribution::stop),
    row!("/dump_expert_distribution_record", GET_POST, AdminOptional, expert_distribution::dump),
    row!("/weights_checker", GET_POST, AdminOptional, weights::weights_checker),
    row!("/slow_down", GET_POST, AdminOptional, memory::slow_down),
    row!("/set_trace_level", GET_POST, AdminOptional, control::set_trace_level),
    row!("/release_memory_occupation", GET_POST, AdminOptional, memory::release),
    row!("/resume_memory_occupation", GET_POST, AdminOptional, memory::resume),
    // Routes of features that this version never has.
    row!("/init_weights_send_group_for_remote_instance", POST, AdminOptional, weights::from_other_processes),
    row!("/send_weights_to_remote_instance", POST, AdminOptional, weights::from_other_processes),
    row!("/remote_instance_transfer_engine_info", GET, AdminOptional, disabled::transfer_engine_info),
    row!("/get_remote_instance_transfer_engine_info", GET, AdminOptional, disabled::transfer_engine_info),
    row!("/add_external_corpus", POST, AdminOptional, disabled::add_external_corpus),
    row!("/remove_external_corpus", POST, AdminOptional, disabled::external_corpus),
    row!("/list_external_corpora", GET, AdminOptional, disabled::list_external_corpora),
    row!("/hicache/storage-backend/clear", POST, AdminOptional, disabled::clear_hicache_storage),
    row!("/hicache/storage-backend", GET_PUT_DELETE, AdminOptional, disabled::hicache_storage),
    row!("/get_hicache_l3_cache_layout", GET, Normal, disabled::hicache_layout),
    row!("/pd_role_switch", POST, AdminOptional, disabled::pd_role_switch),
    row!("/scale_elastic_ep", POST, AdminOptional, disabled::elastic_ep),
    row!("/is_scaling_elastic_ep", GET, AdminOptional, disabled::elastic_ep),
    row!("/v1/audio/transcriptions", POST, Normal, unsupported::not_yet),
    row!("/v1/realtime", GET, Normal, unsupported::not_yet),
    row!("/v1/decisions", POST, Normal, unsupported::not_yet),
    row!("/v1/systemone", POST, Normal, unsupported::not_yet),
];

/// Routes about the routes.
const DOCS: [&str; 3] = ["/openapi.json", "/docs", "/redoc"];

/// Who may call the route with this pattern. An unknown path is treated like an ordinary route.
pub fn tier(pattern: Option<&str>) -> AuthTier {
    pattern.and_then(|pattern| ROUTES.iter().find(|row| row.path == pattern)).map_or(Normal, |row| row.tier)
}

/// Registers the table, and again below the root path if there is one.
pub fn configure(config: &mut web::ServiceConfig, app: &App) {
    let root = root_path(app);
    if !root.is_empty() {
        config.service(web::scope(root).configure(|config| table(config, app)));
    }
    table(config, app);
    config.default_service(web::to(elsewhere));
}

/// An unknown path. With an extra slash at its end it redirects to the path without (reference: Starlette's
/// `redirect_slashes`).
async fn elsewhere(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.path().trim_end_matches('/');
    if path.len() == request.path().len() || path.is_empty() || !request.resource_map().has_resource(path) {
        return Err(ApiError::NotFound);
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    let there = match (client::host(request.headers(), request.uri()), request.app_data::<web::Data<App>>()) {
        (Some(host), Some(app)) => {
            let is_tls = app.args.ssl_certfile.is_some();
            let scheme = app.env.trusted_proxies.scheme(request.peer_addr(), request.headers(), is_tls);
            format!("{scheme}://{host}{path}{query}")
        }
        _ => format!("{path}{query}"),
    };
    Ok(HttpResponse::TemporaryRedirect().insert_header((LOCATION, there)).finish())
}

/// `GET /openapi.json`.
async fn openapi_json(app: web::Data<App>) -> HttpResponse {
    reply::json(&openapi::document(&app, served(&app)))
}

/// The routes of this server.
pub fn served(app: &App) -> impl Iterator<Item = &'static RouteSpec> {
    let hidden: &[&str] = if app.env.openapi_doc { &[] } else { &DOCS };
    ROUTES.iter().filter(|row| !hidden.contains(&row.path))
}

fn table(config: &mut web::ServiceConfig, app: &App) {
    for row in served(app) {
        // All routes that can be moved have the normal tier, like paths that are not in the table.
        let mut resource = web::resource(app.env.moved_routes.path(row.path).as_ref());
        for method in row.methods {
            if let Ok(method) = method.parse::<actix_web::http::Method>() {
                resource = resource.route((row.handler)().method(method));
            }
        }
        let methods = row.methods;
        let refuse = move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(methods)) };
        config.service(resource.default_service(web::to(refuse)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_stands_twice_and_control_routes_are_not_open() {
        for (i, row) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..i].iter().all(|other| other.path != row.path), "{}", row.path);
            let open = ["/health", "/ready", "/metrics", "/docs", "/redoc"];
            let is_open = open.iter().any(|path| row.path.starts_with(path));
            assert_eq!(row.tier == Open, is_open, "{}", row.path);
        }
        for path in ["/", "/api/chat", "/api/generate", "/api/tags", "/api/show"] {
            assert_eq!(tier(Some(path)), Normal, "{path} can be moved");
        }
        for path in [
            "/flush_cache",
            "/abort_request",
            "/pause_generation",
            "/set_internal_state",
            "/update_weights_from_disk",
        ] {
            assert_eq!(tier(Some(path)), AdminOptional, "{path}");
        }
        assert_eq!(tier(None), Normal);
    }
}
