//! Bookkeeping of the KV pool: which slots are free ([`TokenToKvPoolAllocator`]) and which slots a running request's
//! positions use ([`ReqToTokenPool`]). The memory itself belongs to the model worker.

mod req_to_token;
mod token_to_kv;

pub use req_to_token::ReqToTokenPool;
pub use token_to_kv::{InvalidFree, TokenToKvPoolAllocator};
