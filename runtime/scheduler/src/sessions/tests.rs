use super::*;

const BOS: u32 = 1;

fn open(controller: &mut SessionController, id: &str, streaming: bool, timeout: Option<f64>) -> bool {
    let request = OpenSessionReqInput {
        capacity_of_str_len: 100,
        session_id: Some(id.into()),
        streaming: Some(streaming),
        timeout,
        ..Default::default()
    };
    controller.open(&request, Instant::now())
}

fn at(id: &str, rid: Option<&str>) -> SessionParams {
    SessionParams { id: Some(id.into()), rid: rid.map(str::to_owned), ..Default::default() }
}

/// Runs a request to its end and returns its prompt.
fn turn(
    controller: &mut SessionController,
    rid: &str,
    params: &SessionParams,
    new: &[u32],
    output: &[u32],
) -> Result<Vec<u32>, SessionError> {
    let entered = controller.enter(rid, params, new, Some(BOS), Instant::now())?;
    say(controller, rid, output);
    controller.ended(rid, RequestEnd::Served, Instant::now());
    Ok(entered.input_ids)
}

fn say(controller: &mut SessionController, rid: &str, output: &[u32]) {
    let id = controller.running[rid].clone();
    controller.sessions.get_mut(&id).unwrap().append(rid, output);
}

#[test]
fn a_turn_continues_prompt_and_output_and_drops_an_opening_bos() {
    let mut c = SessionController::default();
    assert!(open(&mut c, "s", false, None));
    assert_eq!(turn(&mut c, "a", &at("s", None), &[BOS, 10], &[11]).unwrap(), [BOS, 10]);
    assert_eq!(turn(&mut c, "b", &at("s", Some("a")), &[BOS, 20], &[21, 22]).unwrap(), [BOS, 10, 11, 20]);
    assert_eq!(
        turn(&mut c, "c", &at("s", Some("b")), &[30], &[]).unwrap(),
        [BOS, 10, 11, 20, 21, 22, 30],
        "the third turn sees everything"
    );
    assert_eq!(turn(&mut c, "d", &at("s", Some("a")), &[40], &[]).unwrap(), [BOS, 10, 11, 40], "a branch");
    assert_eq!(turn(&mut c, "e", &at("s", None), &[50], &[]).unwrap(), [50], "a new root");
}

#[test]
fn an_offset_cuts_as_python_does_and_the_output_can_be_left_out() {
    let mut c = SessionController::default();
    open(&mut c, "s", false, None);
    turn(&mut c, "a", &at("s", None), &[10, 11, 12], &[13, 14]).unwrap();
    let mut with = |rid: &str, offset, drop| {
        let params = SessionParams { offset, drop_previous_output: Some(drop), ..at("s", Some("a")) };
        turn(&mut c, rid, &params, &[9], &[]).unwrap()
    };
    assert_eq!(with("1", Some(2), false), [10, 11, 9]);
    assert_eq!(with("2", Some(-1), false), [10, 11, 12, 13, 9]);
    assert_eq!(with("3", Some(i64::MIN), false), [9]);
    assert_eq!(with("4", Some(99), false), [10, 11, 12, 13, 14, 9]);
    assert_eq!(with("5", Some(0), true), [10, 11, 12, 9]);
}

#[test]
fn replacing_ends_and_forgets_what_came_after() {
    let mut c = SessionController::default();
    open(&mut c, "s", false, None);
    turn(&mut c, "a", &at("s", None), &[10], &[11]).unwrap();
    turn(&mut c, "b", &at("s", Some("a")), &[20], &[21]).unwrap();
    c.enter("c", &at("s", Some("b")), &[30], None, Instant::now()).unwrap();
    let replace = SessionParams { replace: Some(true), ..at("s", Some("a")) };
    let entered = c.enter("d", &replace, &[40], None, Instant::now()).unwrap();
    assert_eq!(entered, SessionRequest { input_ids: vec![10, 11, 40], replaced: vec!["c".into()] });
    assert!(!c.is_running("c"));
    assert_eq!(turn(&mut c, "x", &at("s", Some("b")), &[1], &[]), Err(SessionError::UnknownRid));
    let all = SessionParams { replace: Some(true), ..at("s", None) };
    let entered = c.enter("e", &all, &[50], None, Instant::now()).unwrap();
    assert_eq!(entered, SessionRequest { input_ids: vec![50], replaced: vec!["d".into()] });
    assert_eq!(turn(&mut c, "x", &at("s", Some("a")), &[1], &[]), Err(SessionError::UnknownRid));
}

#[test]
fn what_cannot_be_continued_is_refused_and_leaves_no_trace() {
    let mut c = SessionController::default();
    open(&mut c, "s", false, None);
    assert!(!open(&mut c, "s", false, None), "its id is taken");
    assert_eq!(turn(&mut c, "a", &at("t", None), &[1], &[]), Err(SessionError::Unknown("t".into())));
    assert_eq!(turn(&mut c, "a", &at("s", Some("a")), &[1], &[]), Err(SessionError::UnknownRid));
    assert_eq!(turn(&mut c, "a", &at("s", None), &[], &[]), Err(SessionError::Empty));
    c.enter("a", &at("s", None), &[5], None, Instant::now()).unwrap();
    assert_eq!(turn(&mut c, "b", &at("s", Some("a")), &[1], &[]), Err(SessionError::NotFinished));
    c.ended("a", RequestEnd::Refused, Instant::now());
    assert_eq!(turn(&mut c, "b", &at("s", Some("a")), &[1], &[]), Err(SessionError::UnknownRid));
    assert_eq!(c.sessions["s"].kept(), 0);
}

#[test]
fn an_aborted_turn_can_be_continued_with_what_it_had_said() {
    let mut c = SessionController::default();
    open(&mut c, "s", false, None);
    c.enter("a", &at("s", None), &[5], None, Instant::now()).unwrap();
    say(&mut c, "a", &[6, 7]);
    c.ended("a", RequestEnd::Aborted, Instant::now());
    assert_eq!(turn(&mut c, "b", &at("s", Some("a")), &[8], &[]).unwrap(), [5, 6, 7, 8]);
}

#[test]
fn a_streaming_session_only_grows_and_survives_an_aborted_turn() {
    let mut c = SessionController::default();
    open(&mut c, "s", true, None);
    turn(&mut c, "a", &at("s", None), &[10], &[11]).unwrap();
    let refused = |c: &mut SessionController, params| turn(c, "x", &params, &[1], &[]).unwrap_err();
    let replace = SessionParams { replace: Some(true), ..at("s", None) };
    assert_eq!(refused(&mut c, replace), SessionError::Streaming("replace"));
    let offset = SessionParams { offset: Some(1), ..at("s", None) };
    assert_eq!(refused(&mut c, offset), SessionError::Streaming("offset"));
    c.enter("b", &at("s", None), &[20], None, Instant::now()).unwrap();
    assert_eq!(refused(&mut c, at("s", None)), SessionError::Busy);
    say(&mut c, "b", &[99]);
    c.ended("b", RequestEnd::Aborted, Instant::now());
    assert_eq!(turn(&mut c, "c", &at("s", None), &[30], &[31]).unwrap(), [10, 11, 30]);
    assert_eq!(c.sessions["s"].kept(), 4, "only the newest turn is kept");
    c.enter("d", &at("s", None), &[40], None, Instant::now()).unwrap();
    c.close("s");
    assert_eq!(refused(&mut c, at("s", None)), SessionError::Closing("s".into()));
    c.ended("d", RequestEnd::Served, Instant::now());
    assert!(c.is_empty());
}

#[test]
fn an_idle_session_times_out_and_a_running_one_does_not() {
    let mut c = SessionController::default();
    let later = Instant::now() + Duration::from_secs(60);
    open(&mut c, "idle", false, Some(5.0));
    open(&mut c, "busy", false, Some(5.0));
    open(&mut c, "for-ever", false, Some(f64::MAX));
    c.enter("a", &at("busy", None), &[1], None, Instant::now()).unwrap();
    assert!(c.next_deadline().is_some_and(|due| due < later));
    c.reap(later);
    assert_eq!(c.len(), 2);
    assert!(c.next_deadline().is_none());
    c.ended("a", RequestEnd::Served, later);
    c.reap(later + Duration::from_secs(6));
    assert_eq!(c.sessions.keys().collect::<Vec<_>>(), ["for-ever"]);
    c.close("for-ever");
    assert!(c.is_empty() && c.running.is_empty());
}

#[test]
fn output_that_is_sent_again_is_stored_once() {
    let mut c = SessionController::default();
    open(&mut c, "s", true, None);
    c.enter("a", &at("s", None), &[10], None, Instant::now()).unwrap();
    say(&mut c, "a", &[11, 12, 13]);
    // Its client already has one output id.
    c.sessions.get_mut("s").unwrap().begin_output("a", &[11]);
    say(&mut c, "a", &[12, 13, 14]);
    c.ended("a", RequestEnd::Served, Instant::now());
    assert_eq!(turn(&mut c, "b", &at("s", None), &[20], &[]).unwrap(), [10, 11, 12, 13, 14, 20]);
}

#[test]
fn a_turn_whose_end_was_lost_runs_again_with_its_own_prompt() {
    for streaming in [false, true] {
        let mut c = SessionController::default();
        open(&mut c, "s", streaming, None);
        turn(&mut c, "a", &at("s", None), &[10], &[11]).unwrap();
        turn(&mut c, "b", &at("s", Some("a")), &[20], &[21]).unwrap();
        let mut again = TokenizedGenerateReqInput {
            rid: "b".into(),
            session_params: Some(at("s", Some("a"))),
            input_ids: Some(vec![20].into()),
            resubmitted: true,
            ..Default::default()
        };
        assert!(c.enter_request(&mut again, Instant::now()).unwrap().is_empty());
        assert_eq!(again.input_ids.unwrap().0, [10, 11, 20], "streaming: {streaming}");
        say(&mut c, "b", &[21]);
        c.ended("b", RequestEnd::Served, Instant::now());
        assert_eq!(turn(&mut c, "c", &at("s", Some("b")), &[30], &[]).unwrap(), [10, 11, 20, 21, 30]);
    }
}
