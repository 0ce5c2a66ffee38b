use super::*;
use crate::answer::event::{FunctionCall, ToolCall};

fn call(index: usize, name: Option<&str>, arguments: &str) -> Event {
    let function = FunctionCall { name: name.map(str::to_owned), arguments: arguments.to_owned() };
    Event::Call(ToolCall { id: name.map(|_| format!("call_{index}")), index, r#type: "function", function })
}

fn taken(items: &mut Items) -> Vec<Value> {
    let value = |event| match event {
        ItemEvent::Delta(delta) => serde_json::to_value(delta).unwrap(),
        ItemEvent::Other(event) => event,
    };
    items.take_events().into_iter().map(value).collect()
}

fn names(items: &mut Items) -> Vec<String> {
    let name =
        |e: &Value| format!("{} {}", e["output_index"], &e["type"].as_str().unwrap()["response.".len()..]);
    taken(items).iter().map(name).collect()
}

#[test]
fn more_text_is_written_with_the_references_keys_in_its_order() {
    let delta = |summary: bool, event: Event| {
        let mut items = Items::new(ItemOptions { summary, ..ItemOptions::default() });
        items.push(event, &[]);
        let Some(ItemEvent::Delta(mut delta)) = items.take_events().pop() else { panic!("a delta") };
        (delta.item_id, delta.sequence_number) = ("i".into(), 7);
        serde_json::to_string(&delta).unwrap()
    };
    assert_eq!(
        delta(false, Event::Text("a".into())),
        r#"{"content_index":0,"delta":"a","item_id":"i","logprobs":[],"output_index":0,"sequence_number":7,"type":"response.output_text.delta"}"#
    );
    assert_eq!(
        delta(false, Event::Reasoning("a".into())),
        r#"{"content_index":0,"delta":"a","item_id":"i","output_index":0,"sequence_number":7,"type":"response.reasoning_text.delta"}"#
    );
    assert_eq!(
        delta(true, Event::Reasoning("a".into())),
        r#"{"delta":"a","item_id":"i","output_index":0,"summary_index":0,"sequence_number":7,"type":"response.reasoning_summary_text.delta"}"#
    );
}

#[test]
fn every_item_is_added_grown_and_done_in_order() {
    let mut items = Items::new(ItemOptions::default());
    for piece in [
        Event::Reasoning("h".into()),
        Event::Reasoning("m".into()),
        Event::Text("Let me see.".into()),
        call(0, Some("f"), ""),
        call(0, None, "{\"a\""),
        call(0, None, ": 1}"),
        Event::Text("\n".into()),
        call(1, Some("g"), ""),
        call(1, None, "{"),
    ] {
        items.push(piece, &[]);
    }
    let output = items.finish(&[1], None);
    assert_eq!(
        names(&mut items),
        [
            "0 output_item.added",
            "0 content_part.added",
            "0 reasoning_text.delta",
            "0 reasoning_text.delta",
            "0 reasoning_text.done",
            "0 content_part.done",
            "0 output_item.done",
            "1 output_item.added",
            "1 content_part.added",
            "1 output_text.delta",
            "1 output_text.done",
            "1 content_part.done",
            "1 output_item.done",
            "2 output_item.added",
            "2 function_call_arguments.delta",
            "2 function_call_arguments.delta",
            "2 function_call_arguments.done",
            "2 output_item.done",
            "3 output_item.added",
            "3 function_call_arguments.delta",
            "3 function_call_arguments.done",
            "3 output_item.done",
        ]
    );
    assert_eq!(output[0]["content"][0]["text"], "hm");
    assert_eq!(
        (&output[1]["phase"], &output[1]["content"][0]["text"]),
        (&json!("commentary"), &json!("Let me see."))
    );
    assert_eq!((&output[2]["arguments"], &output[2]["status"]), (&json!("{\"a\": 1}"), &json!("completed")));
    assert_eq!((&output[3]["call_id"], &output[3]["status"]), (&json!("call_1"), &json!("incomplete")));
}

#[test]
fn a_summary_mirrors_the_reasoning_and_its_state_can_be_sent_back() {
    let options = ItemOptions { summary: true, encrypted: true, custom_names: Vec::new() };
    let mut items = Items::new(options);
    items.push(Event::Reasoning("thus é".into()), &[]);
    let output = items.finish(&[], None);
    let seen = names(&mut items);
    assert!(seen.contains(&"0 reasoning_summary_text.delta".to_owned()), "{seen:?}");
    assert!(
        !seen.iter().any(|name| name.contains("reasoning_text") || name.contains("content_part")),
        "{seen:?}"
    );
    assert_eq!(output[0]["summary"][0]["text"], "thus é");
    let state = output[0]["encrypted_content"].as_str().unwrap();
    assert_eq!(decode_reasoning(state).as_deref(), Some("thus é"));
    // Written by Python's zlib, as in the reference.
    let theirs = "sglang-reasoning-v1.eJwrySgtVji8EgAMRwNR";
    assert_eq!(decode_reasoning(theirs).as_deref(), Some("thus é"));
    assert_eq!(decode_reasoning("sglang-reasoning-v1.eJwrySgtVji8EgAMRwNS"), None, "a broken check sum");
    assert_eq!(decode_reasoning("x"), None);
}

#[test]
fn free_text_of_a_tool_comes_as_text() {
    let options = ItemOptions { custom_names: vec!["c".into()], ..ItemOptions::default() };
    let mut items = Items::new(options);
    items.push(call(0, Some("c"), ""), &[]);
    for part in ["{\"inp", "ut\": \"a", "\\", "nb\"", "}"] {
        items.push(call(0, None, part), &[]);
    }
    let output = items.finish(&[], None);
    assert_eq!((&output[0]["type"], &output[0]["input"]), (&json!("custom_tool_call"), &json!("a\nb")));
    let events = taken(&mut items);
    let deltas: String = events.iter().filter_map(|e| e["delta"].as_str()).collect();
    assert_eq!(deltas, "a\nb");
    assert_eq!(events[events.len() - 2]["input"], "a\nb");
}

#[test]
fn log_probabilities_go_with_the_last_text() {
    let mut items = Items::new(ItemOptions::default());
    items.push(Event::Text("x".into()), &[]);
    let output = items.finish(&[], Some(&json!([{"token": "x"}])));
    assert_eq!(output[0]["content"][0]["logprobs"][0]["token"], "x");
    assert!(Items::new(ItemOptions::default()).finish(&[], Some(&json!([]))).is_empty());
}
