//! `/v1/rerank`.

pub mod request;
pub mod results;
pub mod routes;
