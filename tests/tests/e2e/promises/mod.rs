//! What clients rely on to the character, on every route that generates: pieces of a stream are the whole answer, every
//! choice ends once, counts add up, stop strings stay hidden, characters stay whole, and every stream ends.

mod answer;
mod ending;
mod logprobs;
mod routes;
mod streams;
