//! Bookkeeping of the KV pool: which slots are free ([`TokenToKvPoolAllocator`]), and which slots the positions of
//! running requests use ([`ReqToTokenPool`]). The model worker owns the memory itself.

mod req_to_token;
mod token_to_kv;

pub use req_to_token::ReqToTokenPool;
pub use token_to_kv::{InvalidFree, TokenToKvPoolAllocator};
