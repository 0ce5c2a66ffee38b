//! What a JSON schema says about a value: the one place that follows references and combinations, for the parsers of
//! tool calls and for the grammars.
//!
//! [`Schema`] is a view of one schema inside its document. It resolves `$ref` (pointers, percent-encoded or not,
//! `$anchor`, `$id`), follows `allOf`, `anyOf` and `oneOf`, and answers
//!
//! - [`types`](Schema::types): which JSON types are allowed, and [`main_type`](Schema::main_type): which one a bare text
//!   is most likely meant to be;
//! - [`values`](Schema::values): the only values that `enum` and `const` allow;
//! - [`variants`](Schema::variants) and [`properties`](Schema::properties): what an object may hold.
//!
//! [`Bundle`] copies schemas out of their documents so that every reference is a plain `#/$defs/NAME`.
//! [`normalize_types`] rewrites type names of other languages, [`check`] says where something is no schema.
//!
//! Cycles end where they close. Schemas come from clients: every walk has a budget, and an answer that would take more
//! is the widest one.

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
