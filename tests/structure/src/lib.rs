//! Checks of the source tree: import cycles between modules, and links in the documents.
//!
//! Two rules for imports apply to every crate of the workspace (`tests/cycles.rs`):
//!
//! 1. Siblings never form a cycle. An import counts for every pair of siblings that it crosses: when `a::x` imports
//!    from `b::y`, `a` depends on `b`.
//! 2. A child imports only types from its ancestors (structs, enums, traits, aliases, constants), no functions.
//!
//! The checker follows `use` items, paths in code and in macro calls, and re-exports. Code under `#[cfg(test)]` is
//! ignored. Method calls are not seen, so a cycle that only a method call closes is not found.

mod cycles;
mod links;
mod module;
mod references;
mod resolve;
mod syntax;

pub use cycles::{Cycle, function_imports, sibling_cycles};
pub use links::{broken, local_links};
pub use module::{Crate, ItemKind, Module};
pub use resolve::{Import, imports};
