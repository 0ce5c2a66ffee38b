//! Streams as lists of comparable events, since the number of tokens per event depends on time.

use serde_json::Value;

/// Places where events add text.
const TEXTS: [&str; 9] = [
    "/choices/0/delta/tool_calls/0/function/arguments",
    "/choices/0/delta/content",
    "/choices/0/delta/reasoning_content",
    "/choices/0/text",
    "/delta/text",
    "/delta/partial_json",
    "/message/content",
    "/response",
    "/delta",
];

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| line.into())
}

/// The JSON documents of a stream's body, without its end mark; `None` if it is not a stream.
pub(crate) fn documents(body: &str) -> Option<Vec<Value>> {
    if body.contains("data: ") {
        let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
        return Some(lines.filter(|line| *line != "[DONE]").map(parse).collect());
    }
    let lines: Vec<&str> = body.lines().collect();
    (lines.len() > 1 && lines.iter().all(|line| line.starts_with('{') && line.ends_with('}')))
        .then(|| lines.into_iter().map(parse).collect())
}

fn take_text(event: &mut Value) -> Option<(&'static str, String)> {
    let place = TEXTS.into_iter().find(|place| event.pointer(place).is_some_and(Value::is_string))?;
    let text = event.pointer_mut(place)?.take();
    Some((place, text.as_str()?.to_owned()))
}

/// Merges consecutive events that only add text.
pub(crate) fn joined(events: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let mut last: Option<(Value, &'static str)> = None;
    for whole in events {
        let mut event = whole.clone();
        let Some((place, text)) = take_text(&mut event) else {
            last = None;
            out.push(whole);
            continue;
        };
        // Counts grow, and log-probabilities come with every piece.
        let usage = event.get_mut("usage").filter(|usage| usage.is_object()).map(Value::take);
        let logprobs = event.pointer_mut("/choices/0/logprobs/content").map(Value::take);
        match out.last_mut() {
            Some(before) if last == Some((event.clone(), place)) => {
                if let Some(Value::String(all)) = before.pointer_mut(place) {
                    all.push_str(&text);
                }
                if let (Some(all), Some(more)) = (
                    before.pointer_mut("/choices/0/logprobs/content").and_then(Value::as_array_mut),
                    logprobs.as_ref().and_then(Value::as_array),
                ) {
                    all.extend(more.iter().cloned());
                }
                if let Some(usage) = usage {
                    before["usage"] = usage;
                }
            }
            _ => out.push(whole),
        }
        last = Some((event, place));
    }
    out
}

/// Whether these are chunks of `/generate`.
pub(crate) fn are_native(events: &[Value]) -> bool {
    events.first().is_some_and(|event| event.get("meta_info").is_some())
}

/// The answer to which a chunk belongs, and how far that answer has come.
fn place(event: &Value) -> (Option<u64>, Option<u64>) {
    (event["index"].as_u64(), event["meta_info"]["completion_tokens"].as_u64())
}

/// Sorts chunks of several answers by answer, since which one is faster depends on time.
pub(crate) fn sort_by_answer(events: &mut [Value]) {
    events.sort_by_key(|event| event["index"].as_u64());
}

/// Merges the recorded chunks into the chunks of our stream: a slow reader gets several tokens in one.
pub(crate) fn in_our_chunks(ours: &[Value], theirs: &[Value]) -> Vec<Value> {
    // If the ids of the second chunk do not begin with those of the first, each chunk has only new ids.
    let incremental = match theirs {
        [first, second, ..] if first["index"] == second["index"] => {
            first["output_ids"].as_array().map(Vec::len) == second["output_ids"].as_array().map(Vec::len)
        }
        _ => false,
    };
    let (mut out, mut rest) = (Vec::new(), theirs.iter().peekable());
    for event in ours {
        let mut chunk: Option<Value> = None;
        while let Some(next) = rest.next_if(|next| place(next) <= place(event)) {
            let mut next = next.clone();
            if let Some(before) = &chunk {
                keep_sent(before, &mut next);
                if incremental {
                    add_before(before, &mut next);
                }
            }
            let reached = place(&next) == place(event);
            chunk = Some(next);
            if reached {
                break;
            }
        }
        out.extend(chunk);
    }
    out.extend(rest.cloned());
    out
}

/// Only the first chunk has the time at which it was sent, so a chunk that absorbs it keeps that.
fn keep_sent(before: &Value, next: &mut Value) {
    const SENT: &str = "response_sent_to_client_ts";
    let Some(sent) = before["meta_info"].get(SENT) else { return };
    if let Some(meta_info) = next["meta_info"].as_object_mut() {
        meta_info.entry(SENT).or_insert_with(|| sent.clone());
    }
}

/// Prepends the contents of an incremental chunk to those of the next one.
fn add_before(before: &Value, next: &mut Value) {
    let text = before["text"].as_str().unwrap_or_default().to_owned();
    next["text"] = (text + next["text"].as_str().unwrap_or_default()).into();
    let lists = ["output_token_logprobs", "output_top_logprobs", "output_token_ids_logprobs"];
    let places = lists.map(|key| format!("/meta_info/{key}"));
    for place in places.iter().map(String::as_str).chain(["/output_ids"]) {
        let first = before.pointer(place).and_then(Value::as_array);
        if let (Some(first), Some(list)) = (first, next.pointer_mut(place).and_then(Value::as_array_mut)) {
            list.splice(0..0, first.iter().cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_chunk_that_takes_in_the_first_one_tells_when_that_was_sent() {
        let theirs = [
            json!({"text": "a", "output_ids": [1],
                "meta_info": {"completion_tokens": 1, "response_sent_to_client_ts": 5.0}}),
            json!({"text": "b", "output_ids": [2], "meta_info": {"completion_tokens": 2}}),
            json!({"text": "c", "output_ids": [3], "meta_info": {"completion_tokens": 3}}),
        ];
        let ours =
            [json!({"meta_info": {"completion_tokens": 2}}), json!({"meta_info": {"completion_tokens": 3}})];
        let merged = json!({"text": "ab", "output_ids": [1, 2],
            "meta_info": {"completion_tokens": 2, "response_sent_to_client_ts": 5.0}});
        assert_eq!(in_our_chunks(&ours, &theirs), [merged, theirs[2].clone()]);
        assert_eq!(in_our_chunks(&theirs, &theirs), theirs);
    }
}
