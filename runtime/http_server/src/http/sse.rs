//! Server-sent events: `data: {…}`, an empty line, and in most streams `data: [DONE]` at the end.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::{Stream, StreamExt};

/// The last event of native and OpenAI streams.
pub const DONE: &str = "data: [DONE]\n\n";

/// One event.
pub fn event(json: &str) -> Bytes {
    let mut event = String::with_capacity(json.len() + 8);
    push_event(&mut event, json);
    event.into()
}

/// Appends one event.
pub fn push_event(out: &mut String, json: &str) {
    out.push_str("data: ");
    out.push_str(json);
    out.push_str("\n\n");
}

/// Appends one event with a name.
pub fn push_named_event(out: &mut String, name: &str, json: &str) {
    out.push_str("event: ");
    out.push_str(name);
    out.push('\n');
    push_event(out, json);
}

/// A response that sends `pieces` as they arrive, followed by the end mark.
pub fn respond(pieces: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    respond_unmarked(pieces.chain(futures::stream::once(async { Bytes::from_static(DONE.as_bytes()) })))
}

/// A response that sends `pieces` as they arrive, without an end mark.
pub fn respond_unmarked(pieces: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .streaming(pieces.map(Ok::<_, std::convert::Infallible>))
}
