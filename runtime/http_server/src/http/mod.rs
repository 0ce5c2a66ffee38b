//! Code that all routes share: reading bodies, writing answers and errors.

mod body_limit;
mod compressed;
pub mod errors;
pub mod extract;
pub mod header_overrides;
pub mod reply;
pub mod route;
pub mod sse;
