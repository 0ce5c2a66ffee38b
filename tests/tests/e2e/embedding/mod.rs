//! Embeddings, classification, reranking and scoring over HTTP, against what sentence-transformers and transformers
//! compute (scripts/fixtures.d/embedding_routes.py).

mod errors;
mod harness;
mod rerank;
mod score;
mod vectors;
