//! The queue of requests whose grammar is being compiled.

use std::collections::BTreeMap;
use std::time::Instant;

use sglang_constrained::{CompileResult, GrammarError, GrammarSpec};
use sglang_proto::grammar::GrammarHandle;
use sglang_proto::messages::TokenizedGenerateReqInput;

use super::backend::{GrammarBackend, StartBackend};
use crate::background::Reporter;

/// The reference's error for requests with a grammar if the backend is off.
const NONE: &str = "Grammar-based generation (json_schema, regex, ebnf, structural_tag) is not supported when the server \
                    is launched with --grammar-backend none";

/// State of the backend.
enum Place {
    Off(String),
    Idle(StartBackend),
    Starting,
    Ready(GrammarBackend),
}

/// Reports of the compiling threads.
#[derive(Debug)]
pub enum GrammarNews {
    /// The backend has started, or failed to.
    Backend(Result<GrammarBackend, String>),
    /// A request's grammar was compiled or rejected.
    Compiled(u64, CompileResult),
}

/// What happens to a request that leaves the queue.
#[derive(Debug)]
pub enum Outcome {
    /// It goes to the planner with its grammar and its time of arrival.
    Ready(Box<TokenizedGenerateReqInput>, GrammarHandle, Instant),
    /// It is refused: its id, an HTTP status and the reason.
    Refused(String, u16, String),
}

/// A request and its time of arrival.
#[derive(Debug)]
struct Queued {
    request: TokenizedGenerateReqInput,
    since: Instant,
}

/// The queue of requests that wait for their grammar.
///
/// No state must survive a restart: the tokenizer manager sends the requests again, and their grammars are compiled
/// again.
pub struct GrammarManager {
    backend: Place,
    /// By ticket, i.e. in order of arrival.
    queue: BTreeMap<u64, Queued>,
    next_ticket: u64,
    news: Reporter<GrammarNews>,
}

impl GrammarManager {
    /// An empty queue. `start` creates the backend when it is first needed; without it, all grammars are refused.
    /// `news` receives reports and passes them to [`GrammarManager::handle`].
    pub fn new(start: Option<StartBackend>, news: Reporter<GrammarNews>) -> Self {
        let backend = start.map_or_else(|| Place::Off(NONE.to_owned()), Place::Idle);
        Self { backend, queue: BTreeMap::new(), next_ticket: 0, news }
    }

    /// Whether a request with this id waits.
    pub fn contains(&self, rid: &str) -> bool {
        self.queue.values().any(|queued| queued.request.rid == rid)
    }

    /// Number of waiting requests.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a request whose output must follow `spec`. Its outcome is reported later, unless it is refused at once.
    pub fn add(&mut self, request: TokenizedGenerateReqInput, spec: GrammarSpec) -> Option<Outcome> {
        if let Place::Idle(_) = &self.backend {
            self.start();
        }
        if let Place::Off(why) = &self.backend {
            return Some(Outcome::Refused(request.rid, 400, why.clone()));
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.insert(ticket, Queued { request, since: Instant::now() });
        self.compile(ticket, spec);
        None
    }

    /// Starts the backend on a separate thread.
    fn start(&mut self) {
        let Place::Idle(start) = std::mem::replace(&mut self.backend, Place::Starting) else { return };
        let report = |started: Result<_, String>| {
            GrammarNews::Backend(started.unwrap_or_else(|_| Err("it panicked".to_owned())))
        };
        let spawned = self.news.spawn("grammar-start", start, report);
        if let Err(error) = spawned {
            self.backend = Place::Off(format!("The grammar backend cannot be started: {error}"));
        }
    }

    /// Compiles a grammar. Does nothing before the backend has started.
    fn compile(&self, ticket: u64, spec: GrammarSpec) {
        let Place::Ready(backend) = &self.backend else { return };
        let news = self.news.clone();
        backend.compile(spec, move |result| news.report(GrammarNews::Compiled(ticket, result)));
    }

    /// Handles a report. Ignores reports about requests that were aborted meanwhile.
    pub fn handle(&mut self, news: GrammarNews) -> Vec<Outcome> {
        match news {
            GrammarNews::Backend(Ok(backend)) => {
                self.backend = Place::Ready(backend);
                for (ticket, queued) in &self.queue {
                    if let Some(spec) = GrammarSpec::from_sampling_params(&queued.request.sampling_params) {
                        self.compile(*ticket, spec);
                    }
                }
                Vec::new()
            }
            GrammarNews::Backend(Err(why)) => {
                tracing::error!("No grammar can be compiled: {why}");
                let why = format!("The grammar backend cannot be started: {why}");
                self.backend = Place::Off(why.clone());
                let refuse = |queued: Queued| Outcome::Refused(queued.request.rid, 400, why.clone());
                std::mem::take(&mut self.queue).into_values().map(refuse).collect()
            }
            GrammarNews::Compiled(ticket, result) => {
                let Some(queued) = self.queue.remove(&ticket) else { return Vec::new() };
                vec![self.outcome(queued, result)]
            }
        }
    }

    fn outcome(&self, queued: Queued, result: CompileResult) -> Outcome {
        let Queued { request, since } = queued;
        let Place::Ready(backend) = &self.backend else {
            return Outcome::Refused(request.rid, 400, NONE.to_owned());
        };
        match result {
            Ok(grammar) => {
                let handle = backend.handle_of(grammar, request.require_reasoning);
                Outcome::Ready(Box::new(request), handle, since)
            }
            Err(error) => {
                let status = match &error {
                    GrammarError::Busy { .. }
                    | GrammarError::Closed { .. }
                    | GrammarError::Unavailable { .. } => 503,
                    GrammarError::Invalid { .. } | GrammarError::TimedOut { .. } => 400,
                };
                Outcome::Refused(request.rid, status, error.to_string())
            }
        }
    }

    /// Removes the request with this id and returns whether it was in the queue.
    pub fn abort(&mut self, rid: &str) -> bool {
        let ticket = self.queue.iter().find(|(_, q)| q.request.rid == rid).map(|(ticket, _)| *ticket);
        ticket.and_then(|ticket| self.queue.remove(&ticket)).is_some()
    }

    /// Removes all requests and returns their ids.
    pub fn abort_all(&mut self) -> Vec<String> {
        std::mem::take(&mut self.queue).into_values().map(|queued| queued.request.rid).collect()
    }

    /// Clears the cache of compiled grammars.
    pub fn clear_cache(&self) {
        if let Place::Ready(backend) = &self.backend {
            backend.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};
    use sglang_constrained::{JsonOptions, TokenEnvironment};
    use sglang_proto::SamplingParams;
    use sglang_proto::grammar::GrammarState;

    use super::*;

    const EOS: u32 = 256;

    fn reports() -> (Reporter<GrammarNews>, Receiver<GrammarNews>) {
        let (sender, news) = unbounded();
        (Reporter::new(move |report| drop(sender.send(report))), news)
    }

    /// A vocabulary with one token per byte and an end of sequence.
    fn backend() -> Result<GrammarBackend, String> {
        let bytes = (0..256).map(|id| (id, vec![id as u8], false)).chain([(EOS, b"</s>".to_vec(), true)]);
        let env = TokenEnvironment::new(bytes, 257, &[EOS]).map_err(|e| e.to_string())?;
        GrammarBackend::new(env, JsonOptions::default(), None)
    }

    fn request(rid: &str, regex: &str) -> (TokenizedGenerateReqInput, GrammarSpec) {
        let sampling_params = SamplingParams { regex: Some(regex.into()), ..Default::default() };
        let spec = GrammarSpec::from_sampling_params(&sampling_params).unwrap();
        (TokenizedGenerateReqInput { rid: rid.into(), sampling_params, ..Default::default() }, spec)
    }

    fn add(manager: &mut GrammarManager, rid: &str, regex: &str) -> Option<Outcome> {
        let (request, spec) = request(rid, regex);
        manager.add(request, spec)
    }

    fn next(manager: &mut GrammarManager, news: &Receiver<GrammarNews>) -> Vec<Outcome> {
        manager.handle(news.recv_timeout(std::time::Duration::from_secs(30)).unwrap())
    }

    fn allowed(state: &mut dyn GrammarState) -> Vec<u32> {
        let mask = state.allowed().unwrap().unwrap();
        (0..257).filter(|id| sglang_constrained::mask_allows(mask, *id)).collect()
    }

    #[test]
    fn a_request_leaves_the_queue_with_its_grammar_or_with_the_reason() {
        let (reporter, news) = reports();
        let mut manager = GrammarManager::new(Some(Box::new(backend)), reporter);
        assert!(add(&mut manager, "good", "ab?").is_none());
        assert!(add(&mut manager, "bad", "(a").is_none());
        assert!(manager.contains("good") && manager.contains("bad"));
        assert!(next(&mut manager, &news).is_empty(), "the backend comes first");
        let (mut good, mut bad) = (None, None);
        for _ in 0..2 {
            match next(&mut manager, &news).pop().unwrap() {
                Outcome::Ready(request, grammar, _) => good = Some((request.rid, grammar)),
                Outcome::Refused(rid, status, why) => bad = Some((rid, status, why)),
            }
        }
        assert!(manager.is_empty());
        let (rid, status, why) = bad.unwrap();
        assert_eq!((rid.as_str(), status), ("bad", 400));
        assert!(why.starts_with("Failed to compile regex grammar: "), "{why}");
        let (rid, grammar) = good.unwrap();
        assert_eq!(rid, "good");
        let mut state = grammar.start(&[]).unwrap();
        assert_eq!(allowed(state.as_mut()), [u32::from(b'a')]);
        state.accept(u32::from(b'a')).unwrap();
        let mut resumed = grammar.start(&[u32::from(b'a')]).unwrap();
        assert_eq!(allowed(resumed.as_mut()), allowed(state.as_mut()));
        assert_eq!(allowed(resumed.as_mut()), [u32::from(b'b'), EOS]);
        resumed.accept(EOS).unwrap();
        assert!(resumed.is_terminated() && !state.is_terminated());
        assert!(grammar.start(&[u32::from(b'c')]).unwrap_err().contains("99"));
    }

    #[test]
    fn the_grammar_of_a_reasoning_request_applies_after_its_reasoning() {
        let (reporter, news) = reports();
        let start = || backend().map(|backend| backend.after_thinking(&[7, 9]));
        let mut manager = GrammarManager::new(Some(Box::new(start)), reporter);
        let start = |manager: &mut GrammarManager, thinks: bool| {
            let (mut request, spec) = request("a", "ab");
            request.require_reasoning = thinks;
            assert!(manager.add(request, spec).is_none());
            loop {
                match next(manager, &news).pop() {
                    Some(Outcome::Ready(_, grammar, _)) => return grammar,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            }
        };
        let thinking = start(&mut manager, true);
        let mut state = thinking.start(&[]).unwrap();
        for token in [EOS, 1, 7] {
            assert_eq!(state.allowed().unwrap(), None);
            state.accept(token).unwrap();
            assert!(!state.is_terminated());
        }
        state.accept(9).unwrap();
        assert_eq!(allowed(state.as_mut()), [u32::from(b'a')]);
        let mut resumed = thinking.start(&[1, 7]).unwrap();
        assert_eq!(resumed.allowed().unwrap(), None);
        resumed = thinking.start(&[1, 7, 9, u32::from(b'a')]).unwrap();
        assert_eq!(allowed(resumed.as_mut()), [u32::from(b'b')]);
        let immediate = start(&mut manager, false);
        assert_eq!(allowed(immediate.start(&[]).unwrap().as_mut()), [u32::from(b'a')]);
    }

    #[test]
    fn an_aborted_request_does_not_come_back() {
        let (reporter, news) = reports();
        let mut manager = GrammarManager::new(Some(Box::new(backend)), reporter);
        for rid in ["a", "b", "c"] {
            assert!(add(&mut manager, rid, "x+").is_none());
        }
        assert!(manager.abort("b") && !manager.abort("b"));
        assert!(next(&mut manager, &news).is_empty());
        assert_eq!(manager.abort_all(), ["a", "c"]);
        for _ in 0..2 {
            assert!(next(&mut manager, &news).is_empty());
        }
        assert!(manager.is_empty());
    }

    #[test]
    fn without_a_backend_grammars_are_refused() {
        let (reporter, news) = reports();
        let mut manager = GrammarManager::new(None, reporter.clone());
        let refused = add(&mut manager, "a", "x").unwrap();
        assert!(matches!(refused, Outcome::Refused(rid, 400, why) if rid == "a" && why == NONE));
        for start in [(|| Err("no vocabulary".to_owned())) as fn() -> _, || panic!("broken")] {
            let mut manager = GrammarManager::new(Some(Box::new(start)), reporter.clone());
            assert!(add(&mut manager, "a", "x").is_none());
            let refused = next(&mut manager, &news).pop().unwrap();
            assert!(matches!(refused, Outcome::Refused(_, 400, why) if why.contains("cannot be started")));
            assert!(matches!(add(&mut manager, "b", "x"), Some(Outcome::Refused(_, 400, _))));
            assert!(manager.is_empty());
        }
    }
}
