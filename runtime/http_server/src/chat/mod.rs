//! Chat requests of every dialect: fields and messages, constraints from tools, and the prompt.

mod check;
pub mod fields;
pub mod message;
pub mod prompt;
pub mod request;
pub mod tool_constraint;
