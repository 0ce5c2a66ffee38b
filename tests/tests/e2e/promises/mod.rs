//! What clients rely on to the character, on every route that generates: the pieces of a stream add up to the whole
//! answer, every choice ends once, counts are right, stop strings stay hidden, characters are never split, and every
//! stream ends.

mod answer;
mod ending;
mod logprobs;
mod routes;
mod streams;
