//! Answers questions about JSON schemas, for the parsers of tool calls and for grammars: the only place that follows
//! references and combinations.
//!
//! [`Schema`] is a view of one schema inside its document. It resolves `$ref` (pointers, percent-encoded or not,
//! `$anchor`, `$id`), follows `allOf`, `anyOf` and `oneOf`, and provides
//!
//! - [`types`](Schema::types): the allowed JSON types, and [`main_type`](Schema::main_type): the most likely type of a
//!   bare text;
//! - [`values`](Schema::values): the only values that `enum` and `const` allow;
//! - [`variants`](Schema::variants) and [`properties`](Schema::properties): what an object may contain.
//!
//! [`Bundle`] copies schemas out of their documents so that every reference is a plain `#/$defs/NAME`.
//! [`normalize_types`] rewrites type names of other languages. [`check`] finds the first mistake in a schema.
//!
//! Cyclic references are followed once. Schemas come from clients, so every walk has a budget; a question that would
//! exceed it gets the widest answer.

mod bundle;
mod check;
mod document;
mod keywords;
mod names;
mod object;
mod schema;
mod types;
mod values;

pub use bundle::{Bundle, TooLarge};
pub use check::check;
pub use keywords::{Holds, holds, is_annotation};
pub use names::normalize_types;
pub use object::{Property, Variant};
pub use schema::Schema;
pub use types::{JsonType, Types};
