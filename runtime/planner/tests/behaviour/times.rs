use sglang_planner::simulator::NoText;
use sglang_planner::{PlannerConfig, ReqTimes};

use crate::common::{Driver, prompt, request, small};

fn times(driver: &Driver, rid: &str) -> ReqTimes {
    let last = driver.answer(rid).last.as_ref().unwrap();
    last.times.as_deref().expect("its only event has them").clone()
}

#[test]
fn a_request_is_stamped_when_it_arrives_starts_and_has_its_prompt_computed() {
    let mut driver = Driver::new(PlannerConfig {
        chunked_prefill_size: Some(64),
        disable_radix_cache: true,
        ..small(4096)
    });
    driver.now = 10.0;
    let mut early = request("early", prompt(1, 150), 3);
    early.received_at = Some(7.0);
    driver.add(early);
    driver.add(request("late", prompt(2, 20), 1));
    driver.run();
    let early = times(&driver, "early");
    assert_eq!((early.received, early.queued, early.forward), (7.0, Some(10.0), Some(11.0)));
    // A step of the driver takes a second, including its result.
    assert_eq!((early.prefill_finished, early.queue_duration), (Some(13.0), 1.0));
    assert_eq!(early.chunks, [0.0, 1.0]);
    let late = times(&driver, "late");
    assert_eq!((late.received, late.queued, late.forward), (10.0, Some(10.0), Some(13.0)));
    assert_eq!((late.queue_duration, late.chunks.len()), (3.0, 0));
}

#[test]
fn what_a_retracted_request_waits_again_counts() {
    let config = PlannerConfig { schedule_conservativeness: 0.0, disable_radix_cache: true, ..small(100) };
    let mut driver = Driver::new(config);
    driver.add(request("a", prompt(1, 10), 48));
    driver.step(&mut NoText);
    driver.add(request("b", prompt(2, 10), 48));
    driver.run();
    let rid = if driver.answer("a").retractions > 0 { "a" } else { "b" };
    assert!(driver.answer(rid).retractions > 0);
    let times = times(&driver, rid);
    let first_wait = times.forward.unwrap() - times.queued.unwrap();
    assert_eq!(first_wait, 1.0);
    assert!(times.queue_duration > first_wait + 2.0, "{times:?}");
    assert_eq!(times.prefill_finished, times.forward, "the first way through the prompt counts");
}

#[test]
fn times_go_out_once() {
    let mut driver = Driver::new(small(1024));
    let mut streamed = request("a", prompt(1, 10), 5);
    streamed.stream = true;
    driver.add(streamed);
    driver.step(&mut NoText);
    assert!(driver.answer("a").last.as_ref().unwrap().times.is_some());
    while driver.step(&mut NoText) {
        assert_eq!(driver.answer("a").last.as_ref().unwrap().times, None);
    }
    assert_eq!(driver.answer("a").events, 5);
}
