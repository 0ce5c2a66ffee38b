use base64::Engine as _;
use serde_json::{Map, Value};

use crate::events::{are_native, documents, in_our_chunks, joined, sort_by_answer};
use crate::exchange::{Answer, Exchange};
use crate::intended::{FREE, MOVED, intended};

/// Headers that are compared.
const HEADERS: [&str; 9] = [
    "content-type",
    "allow",
    "vary",
    "location",
    "www-authenticate",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-max-age",
];

/// Values that differ between runs: ids, times, memory, what ran before, and file locations.
const VOLATILE: [&str; 35] = [
    "id",
    "call_id",
    "item_id",
    "session_id",
    "created",
    "created_at",
    "modified_at",
    "timestamp",
    "sequence_number",
    "cached_tokens",
    "cached_tokens_details",
    "cache_read_input_tokens",
    "cache_hit_rate",
    "queue_time",
    "forward_entry_time",
    "prefill_finished_time",
    "storage_prefetch_wait",
    "storage_staging_wait",
    "decode_throughput",
    "gen_throughput",
    "startup_time",
    "random_seed",
    "memory_usage",
    "weight_gb",
    "kv_cache_gb",
    "total_prefill_uncached_tokens",
    "total_prefill_busy_us",
    "decode_moments",
    "model_path",
    "tokenizer_path",
    "served_model_name",
    "root",
    "launch_command",
    "digest",
    // A refused grammar is answered before the figures are published again.
    "grammar",
];

/// Values that depend on the weights, for sets that were recorded with random ones.
const OF_WEIGHTS: [&str; 9] =
    ["text", "output_ids", "embedding", "probs", "label", "scores", "score", "document", "hidden_states"];
/// Keys of `meta_info` that the reference adds with `--enable-metrics`. Their values depend on time; their types do
/// not.
const WITH_METRICS: [&str; 10] = [
    "queue_time",
    "forward_entry_time",
    "prefill_finished_time",
    "storage_prefetch_wait",
    "storage_staging_wait",
    "request_received_ts",
    "first_token_latency",
    "api_server_dispatch_finish_ts",
    "request_finished_ts",
    "decode_throughput",
];
/// A stream whose tokens all arrived at once has no rate.
const SOMETIMES: &str = "decode_throughput";

const RANDOM_WEIGHTS: [&str; 4] = ["rerank", "reward", "moe", "limits"];

fn volatile(key: &str) -> bool {
    VOLATILE.contains(&key) || key.ends_with("_ts") || key.contains("latency") || key.contains("duration")
}

struct Comparison<'a> {
    /// Largest allowed difference of two fractional numbers.
    tolerance: f64,
    random_weights: bool,
    /// Whether these are the events of a stream.
    stream: bool,
    out: &'a mut Vec<String>,
}

impl Comparison<'_> {
    fn values(&mut self, path: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Object(a), Value::Object(b)) => self.objects(path, a, b),
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (i, (a, b)) in a.iter().zip(b).enumerate() {
                    self.values(&format!("{path}[{i}]"), a, b);
                }
            }
            (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
                let near = a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= self.tolerance);
                if !near {
                    self.out.push(format!("{path}: {a} instead of {b}"));
                }
            }
            (Value::String(a), Value::String(b)) if a == b || are_equal_json(a, b) => {}
            (Value::String(a), Value::String(b)) if path.ends_with(".embedding") => self.packed(path, a, b),
            _ if ours == theirs => {}
            _ => self.out.push(format!("{path}: {ours} instead of {theirs}")),
        }
    }

    /// Compares vectors in base64.
    fn packed(&mut self, path: &str, ours: &str, theirs: &str) {
        let floats = |text: &str| -> Value {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            let (chunks, _) = bytes.as_chunks::<4>();
            chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
        };
        self.values(path, &floats(ours), &floats(theirs));
    }

    /// The order of keys matters: the reference always writes them in the same one.
    fn objects(&mut self, path: &str, ours: &Map<String, Value>, theirs: &Map<String, Value>) {
        let (a, b): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.keys().collect());
        if a != b {
            let common = |keys: &[&String], others: &[&String]| -> Vec<String> {
                let keep = |key: &&&String| others.contains(*key) && !volatile(key);
                keys.iter().filter(keep).map(|key| (*key).clone()).collect()
            };
            let (a, b) = (common(&a, &b), common(&b, &a));
            if a != b {
                self.out.push(format!("{path}: keys in the order {a:?} instead of {b:?}"));
            }
        }
        if a != b {
            for key in b.iter().filter(|key| !a.contains(key) && (!self.stream || **key != SOMETIMES)) {
                self.out.push(format!("{path}.{key}: missing"));
            }
            for key in a.iter().filter(|key| !b.contains(key)) {
                self.out.push(format!("{path}.{key}: added"));
            }
        }
        for (key, theirs) in theirs {
            let Some(ours) = ours.get(key) else { continue };
            if WITH_METRICS.contains(&key.as_str()) {
                if ours.is_f64() != theirs.is_f64() {
                    self.out.push(format!("{path}.{key}: {ours} is not of the kind of {theirs}"));
                }
            } else if volatile(key) {
                continue;
            } else if self.random_weights && OF_WEIGHTS.contains(&key.as_str()) {
                self.shapes(&format!("{path}.{key}"), ours, theirs);
            } else {
                self.values(&format!("{path}.{key}"), ours, theirs);
            }
        }
    }

    /// Compares only types and lengths.
    fn shapes(&mut self, path: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (i, (a, b)) in a.iter().zip(b).enumerate() {
                    self.shapes(&format!("{path}[{i}]"), a, b);
                }
            }
            (Value::Number(_), Value::Number(_)) | (Value::String(_), Value::String(_)) => {}
            _ if ours == theirs => {}
            _ => self.out.push(format!("{path}: {ours} has not the shape of {theirs}")),
        }
    }
}

/// Text that is JSON is compared as JSON, so its white space does not matter.
fn are_equal_json(a: &str, b: &str) -> bool {
    let parse = |text: &str| {
        serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
    };
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}

/// Our answer, with moved values put back where the reference has them.
fn moved_back(mut ours: Value) -> Value {
    for place in MOVED {
        let Some(from) = ours.pointer_mut(place.ours).and_then(Value::as_object_mut) else { continue };
        let Some(value) = from.shift_remove(place.key) else { continue };
        let is_empty = from.is_empty();
        if let Some((parent, key)) = place.ours.rsplit_once('/').filter(|_| is_empty)
            && let Some(parent) = ours.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            parent.shift_remove(key);
        }
        if let Some(to) = ours.pointer_mut(place.theirs).and_then(Value::as_object_mut) {
            to.insert(place.key.to_owned(), value);
        }
    }
    ours
}

fn bodies(exchange: &Exchange, answer: &Answer, out: &mut Vec<String>) {
    let (ours, theirs) = (answer.body.as_str(), exchange.response_body.as_str());
    if exchange.path.starts_with("/metrics") || exchange.path.ends_with("format=prometheus") {
        return metrics(ours, theirs, out);
    }
    let random_weights = RANDOM_WEIGHTS.contains(&exchange.set.as_str());
    let mut comparison = Comparison { tolerance: 1e-3, random_weights, stream: false, out };
    match (documents(ours), documents(theirs)) {
        (Some(mut ours_events), Some(mut theirs_events)) => {
            comparison.stream = true;
            let [a, b] = [ours, theirs].map(|body| body.contains("data: [DONE]"));
            if a != b {
                comparison.out.push("$: only one of the streams has an end mark".to_owned());
            }
            if are_native(&theirs_events) {
                sort_by_answer(&mut ours_events);
                sort_by_answer(&mut theirs_events);
                theirs_events = in_our_chunks(&ours_events, &theirs_events);
            } else {
                (ours_events, theirs_events) = (joined(ours_events), joined(theirs_events));
            }
            comparison.values("$", &ours_events.into(), &theirs_events.into());
        }
        _ => match (serde_json::from_str(ours), serde_json::from_str(theirs)) {
            (Ok(ours), Ok(theirs)) => comparison.values("$", &moved_back(ours), &theirs),
            _ if ours == theirs => {}
            _ => comparison.out.push(format!("$: {ours:?} instead of {theirs:?}")),
        },
    }
}

/// Compares the metrics' names, types and labels.
fn metrics(ours: &str, theirs: &str, out: &mut Vec<String>) {
    let types = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect()
    };
    let (a, b) = (types(ours), types(theirs));
    out.extend(b.iter().filter(|line| !a.contains(line)).map(|line| format!("$.{line}: missing")));
}

/// Every place where our answer differs from the reference's, except those of [`intended`]. Also names every entry
/// there that is no longer needed.
pub fn differences(exchange: &Exchange, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    match exchange.status {
        Some(status) if status != answer.status => {
            found.push(format!("status: {} instead of {status}: {}", answer.status, answer.body));
        }
        Some(_) => {}
        None => found.push("status: an answer".to_owned()),
    }
    for name in HEADERS {
        let (ours, theirs) = (answer.headers.get(name), exchange.response_headers.get(name));
        if ours != theirs {
            found.push(format!("header {name}: {ours:?} instead of {theirs:?}"));
        }
    }
    bodies(exchange, answer, &mut found);
    let name = format!("{}/{}", exchange.set, exchange.name);
    let entries: Vec<_> = intended(&exchange.set, &exchange.name).collect();
    let mut out = Vec::new();
    for entry in &entries {
        if !answer.body.contains(entry.says) {
            out.push(format!("{name}: {} has no {}", answer.body, entry.says));
        }
        for place in entry.places {
            if !found.iter().any(|line| line.starts_with(place)) {
                out.push(format!("{name}: nothing differs in {place:?} any more"));
            }
        }
    }
    let free = FREE.iter().filter(|(exchange, _)| *exchange == name).flat_map(|(_, places)| *places);
    let free: Vec<_> = free.collect();
    found.retain(|line| !free.iter().any(|place| line.starts_with(**place)));
    found.retain(|line| !entries.iter().flat_map(|e| e.places).any(|place| line.starts_with(place)));
    out.extend(found.into_iter().map(|line| format!("{name} {line}")));
    out
}
