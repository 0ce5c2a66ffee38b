//! A chat request, whatever dialect it came in: its fields and messages, what its tools demand, and its prompt.

mod check;
pub mod fields;
pub mod message;
pub mod prompt;
pub mod request;
pub mod tool_constraint;
