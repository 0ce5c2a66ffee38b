//! OpenAI's request and answer types.

pub mod answer;
mod chat_check;
pub mod chat_fields;
pub mod chat_request;
pub mod chat_response;
pub mod chat_stream;
pub mod choice;
pub mod classify;
pub mod completion_prompt;
pub mod completion_request;
pub mod completion_response;
pub mod completion_stream;
pub mod completion_template;
pub mod embeddings;
pub mod fields;
pub mod logprobs;
pub mod message;
pub mod rerank;
pub mod rerank_results;
pub mod score;
pub mod tool_constraint;
pub mod updates;
pub mod usage;
