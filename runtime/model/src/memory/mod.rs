//! KV memory: the pool of slots ([`MHATokenToKVPool`]), the slots of each request ([`ReqToTokenPool`]) and the size of
//! the pool ([`KvBudget`]). Names follow the reference's `mem_cache/memory_pool.py`.

mod budget;
mod forecast;
mod give_back;
mod host;
mod kv_pool;
mod req_to_token;

pub use budget::KvBudget;
pub(crate) use forecast::MemoryForecast;
pub(crate) use give_back::give_back_freed_memory;
pub(crate) use host::free_bytes;
pub use kv_pool::{KvCacheShape, MHATokenToKVPool};
pub use req_to_token::ReqToTokenPool;
