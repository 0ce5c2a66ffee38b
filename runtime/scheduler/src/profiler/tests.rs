use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::Value;
use sglang_proto::forward::{ForwardMode, ForwardResult};
use sglang_proto::messages::ProfileReq;

use super::recorder::{Finished, ProfileError, Recorder};
use crate::step::StepInfo;

fn info(forward_id: u64) -> StepInfo {
    StepInfo { forward_id, mode: ForwardMode::Decode, num_reqs: 3, num_tokens: 3 }
}

fn read(finished: &Finished) -> Value {
    finished.write().unwrap();
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(&finished.path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn request(dir: &std::path::Path) -> ProfileReq {
    ProfileReq {
        output_dir: Some(dir.join("traces").display().to_string()),
        profile_id: Some("run".into()),
        ..Default::default()
    }
}

#[test]
fn a_trace_holds_the_steps_with_their_phases_inside_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut profiler = Recorder::default();
    let asked = ProfileReq { num_steps: Some(1), start_step: Some(6), ..request(dir.path()) };
    profiler.start(&asked, 5).unwrap();
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let result = ForwardResult { prepare_seconds: 0.001, sample_seconds: 0.004, ..Default::default() };
    profiler.span("schedule", Some(began), Some(info(6)));
    profiler.step(info(5), at(0), at(10), Some(&result));
    assert!(profiler.take_finished().is_none(), "step 5 is before the start");
    profiler.step(info(6), at(10), at(20), Some(&result));
    let finished = profiler.take_finished().unwrap();
    assert!(!profiler.is_on());
    assert_eq!(finished.path, dir.path().join("traces/run-TP-0.trace.json.gz"));
    assert_eq!(finished.steps, 1);
    let trace = read(&finished);
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
    let names: Vec<&str> = spans.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["schedule", "decode", "prepare", "forward", "sample"]);
    assert_eq!(spans[1]["args"]["step"], 6);
    assert_eq!(spans[1]["args"]["batch_size"], 3);
    let millis = |e: &Value| (e["dur"].as_f64().unwrap() / 1e3).round() as i64;
    assert_eq!(spans[1..].iter().map(|e| millis(e)).collect::<Vec<_>>(), [10, 1, 5, 4]);
    let (outer, last) = (spans[1], spans[4]);
    let end = |e: &Value| e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap();
    assert!((end(outer) - end(last)).abs() < 1.0, "the phases fill the step");
    assert!(events.iter().any(|e| e["ph"] == "M" && e["args"]["name"] == "model"));
}

#[test]
fn what_cannot_be_recorded_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut profiler = Recorder::default();
    assert_eq!(profiler.stop().unwrap_err(), ProfileError::NotRunning);
    let mut refused = |request: ProfileReq| profiler.start(&request, 0).unwrap_err().to_string();
    let base = || request(dir.path());
    let text = refused(ProfileReq { activities: Some(vec!["CPU".into(), "RPD".into()]), ..base() });
    assert_eq!(text, "activities: \"RPD\" cannot be recorded; expected CPU or GPU");
    assert!(refused(ProfileReq { profile_by_stage: true, ..base() }).starts_with("profile_by_stage"));
    assert!(refused(ProfileReq { num_steps: Some(-3), ..base() }).contains("num_steps must be 1 or more"));
    let outside = ProfileReq { profile_prefix: Some("../x".into()), ..base() };
    assert!(refused(outside).contains("profile_prefix"));
    profiler.start(&base(), 0).unwrap();
    assert_eq!(profiler.start(&base(), 0).unwrap_err(), ProfileError::Running);
    assert_eq!(read(&profiler.stop().unwrap())["traceEvents"].as_array().unwrap().len(), 3);
}

#[test]
fn without_a_trace_nothing_is_kept() {
    let mut profiler = Recorder::default();
    assert!(profiler.now().is_none());
    profiler.span("schedule", None, None);
    profiler.step(info(1), Instant::now(), Instant::now(), None);
    assert!(profiler.take_finished().is_none() && !profiler.is_on());
}
