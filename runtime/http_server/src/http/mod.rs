//! What all routes share: bodies in, answers and errors out.

mod body_limit;
mod compressed;
pub mod errors;
pub mod extract;
pub mod header_overrides;
pub mod reply;
pub mod route;
pub mod sse;
