//! Embeddings, classification, reranking and scoring over HTTP, compared with sentence-transformers and transformers
//! (scripts/fixtures.d/embedding_routes.py).

mod errors;
mod harness;
mod rerank;
mod score;
mod vectors;
