//! Supervises a server that is up: restarts processes that die or hang, until a signal arrives or the restarts are used
//! up.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use sglang_process::heartbeat::PERIOD;
use sglang_process::peer::PeerNews;

use crate::child::{ChildProcess, Death, Report};
use crate::events::Event;
use crate::outcome::Outcome;
use crate::policy::{Action, Input, State};
use crate::role::Role;
use crate::stacks;
use crate::supervisor::{Supervisor, stop};

/// Two SIGTERMs within this time count as one: `timeout` and others send one to the launcher and one to its group.
const SAME_WISH: Duration = Duration::from_millis(100);
/// A process without heartbeat for this long is reported as silent, long before it is considered hung.
const SILENT: Duration = Duration::from_secs(3);

/// State of a server that accepts no more requests.
#[derive(Debug)]
struct Drain {
    asked: Instant,
    /// Whether all requests have been answered and the processes were told to end.
    answered: bool,
}

impl Supervisor {
    /// Runs until the server must end.
    pub(crate) fn serve(&mut self) -> io::Result<Outcome> {
        let mut drain: Option<Drain> = None;
        let mut look_at = Instant::now();
        loop {
            if let Some(outcome) = self.advance(&mut drain) {
                return Ok(outcome);
            }
            if look_at <= Instant::now() {
                if drain.as_ref().is_none_or(|drain| !drain.answered) {
                    self.look_after();
                }
                look_at = Instant::now() + PERIOD;
            }
            let deadline = self.next_due(drain.as_ref()).map_or(look_at, |due| due.min(look_at));
            let outcome = match self.events.next(&mut self.children, None, Some(deadline))? {
                Event::Signal(signal) => self.signalled(signal, &mut drain),
                Event::Death(role, death) => self.handle_death(role, death, &mut drain)?,
                Event::Report(role, report) => {
                    self.reported(role, report);
                    None
                }
                Event::Readable | Event::Deadline => None,
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    fn signalled(&mut self, signal: Signal, drain: &mut Option<Drain>) -> Option<Outcome> {
        match (signal, &drain) {
            (Signal::SIGTERM, None) => *drain = Some(self.begin_drain()),
            (Signal::SIGTERM, Some(begun)) if begun.asked.elapsed() < SAME_WISH => {}
            (Signal::SIGTERM, Some(_)) => return Some(Outcome::Interrupted(signal)),
            (signal, _) => return Some(stop(signal)),
        }
        None
    }

    /// Starts the drain: the tokenizer manager ends when it has answered the running requests; then the others end.
    fn begin_drain(&mut self) -> Drain {
        let limit = self.settings.shutdown;
        tracing::info!(
            "SIGTERM: running requests have {} s to finish; a second signal ends now",
            limit.as_secs_f64()
        );
        self.events.notify.stopping();
        self.events.notify.status("Running requests finish");
        self.events.notify.working_for(limit);
        for (child, record) in self.children.iter_mut().zip(&self.records) {
            if child.role != Role::TokenizerManager {
                continue;
            }
            if record.lives.is_ready() {
                child.tell("drain");
                child.signal(Signal::SIGTERM);
            } else {
                // While it starts, it has no requests.
                child.signal(Signal::SIGKILL);
            }
        }
        Drain { asked: Instant::now(), answered: false }
    }

    /// Performs due actions.
    fn advance(&mut self, drain: &mut Option<Drain>) -> Option<Outcome> {
        if let Some(drain) = drain {
            if !drain.answered && self.has_ended(Role::TokenizerManager) {
                drain.answered = true;
                self.end_all();
            }
            if Role::ALL.into_iter().all(|role| self.has_ended(role)) {
                return Some(Outcome::Drained);
            }
            if drain.asked.elapsed() >= self.settings.shutdown {
                return Some(Outcome::DrainTimedOut(self.settings.shutdown));
            }
            if drain.answered {
                return None;
            }
        }
        for index in 0..self.records.len() {
            let now = self.began.elapsed();
            let action = self.records.get_mut(index).and_then(|record| {
                let starting = matches!(record.lives.state(), State::Starting { .. });
                let action = record.lives.on(Input::Tick, now);
                if starting && action == Some(Action::Abort) {
                    record.cause = Some("was not ready in time".to_owned());
                }
                action
            });
            if let Some(outcome) = action.and_then(|action| self.act(index, action)) {
                return Some(outcome);
            }
        }
        None
    }

    /// When the next action is due without an event.
    fn next_due(&self, drain: Option<&Drain>) -> Option<Instant> {
        let dues = self.records.iter().filter_map(|record| record.lives.due());
        let dues = dues.filter_map(|due| self.began.checked_add(due));
        let drained = drain.and_then(|drain| drain.asked.checked_add(self.settings.shutdown));
        match drain {
            Some(Drain { answered: true, .. }) => drained,
            _ => dues.chain(drained).min(),
        }
    }

    /// Ends the remaining processes after the drain.
    fn end_all(&mut self) {
        for (child, record) in self.children.iter_mut().zip(&self.records) {
            // The control word ends it. It may have received SIGTERM before, which it ignores under a launcher.
            child.tell("end");
            let listens = record.lives.is_ready();
            child.signal(if listens { Signal::SIGTERM } else { Signal::SIGKILL });
        }
    }

    fn handle_death(
        &mut self,
        role: Role,
        death: Death,
        drain: &mut Option<Drain>,
    ) -> io::Result<Option<Outcome>> {
        if drain.is_none() {
            match self.own_signal(death)? {
                Some(Signal::SIGTERM) => *drain = Some(self.begin_drain()),
                Some(signal) => return Ok(Some(stop(signal))),
                None => {}
            }
        }
        match drain {
            // It has answered all requests, or can no longer answer them.
            Some(_) if role == Role::TokenizerManager => return Ok(None),
            Some(Drain { answered: true, .. }) => return Ok(None),
            _ => {}
        }
        let Some(index) = self.records.iter().position(|record| record.role == role) else { return Ok(None) };
        Ok(self.lost(index, &death.to_string()))
    }

    /// Handles the end of a process: tells the others, and decides whether to restart it.
    fn lost(&mut self, index: usize, how: &str) -> Option<Outcome> {
        let now = self.began.elapsed();
        let life = self.children.get(index).map_or(0, |child| child.life);
        let record = self.records.get_mut(index)?;
        let role = record.role;
        let how = record.cause.take().unwrap_or_else(|| how.to_owned());
        record.down_since.get_or_insert_with(Instant::now);
        let action = record.lives.on(Input::Died, now);
        let due = record.lives.due();
        let restarts = record.lives.restarts();
        self.tell_others(role, PeerNews::Down(life));
        self.show_last_words(role);
        if action == Some(Action::GiveUp) {
            let budget = (restarts > 0).then_some((restarts, self.settings.policy.window));
            return Some(Outcome::Died(role, how, budget));
        }
        let pause = due.map_or(Duration::ZERO, |due| due.saturating_sub(now));
        let when =
            if pause.is_zero() { "at once".to_owned() } else { format!("in {} s", pause.as_secs_f64()) };
        tracing::error!(
            "the {role} {how}; it is started again {when} (restart {} of at most {} within {} s)",
            restarts + 1,
            self.settings.policy.max_restarts,
            self.settings.policy.window.as_secs_f64()
        );
        self.events.notify.status(&format!("Starting the {role} again, which {how}"));
        None
    }

    /// Performs an action of the restart policy.
    fn act(&mut self, index: usize, action: Action) -> Option<Outcome> {
        match action {
            Action::Start => self.start_again(index),
            Action::Abort | Action::Kill => {
                let child = self.children.get(index)?;
                // A stopped process only reacts to SIGKILL.
                let abort = action == Action::Abort && !stacks::is_stopped(child.pid);
                child.signal(if abort { Signal::SIGABRT } else { Signal::SIGKILL });
                None
            }
            Action::GiveUp => None,
        }
    }

    /// Starts the next life of a process, after the last one was reaped.
    fn start_again(&mut self, index: usize) -> Option<Outcome> {
        let role = self.records.get(index)?.role;
        match self.spawner.spawn(role) {
            Err(error) => self.lost(index, &format!("could not be started again: {error}")),
            Ok(mut child) => {
                self.tell_news(&mut child);
                *self.children.get_mut(index)? = child;
                self.records.get_mut(index)?.begin_life();
                None
            }
        }
    }

    /// Tells a new process what the others already know.
    fn tell_news(&self, child: &mut ChildProcess) {
        for (other, record) in self.children.iter().zip(&self.records) {
            if other.role != child.role && !record.lives.is_ready() {
                child.tell(&PeerNews::Down(other.life).word(other.role));
            }
        }
        child.tell("up");
    }

    fn tell_others(&mut self, role: Role, news: PeerNews) {
        for child in self.children.iter_mut().filter(|child| child.role != role) {
            child.tell(&news.word(role));
        }
    }

    fn reported(&mut self, role: Role, report: Report) {
        match report {
            Report::Phase(name, seconds) => tracing::debug!("the {role}: {name} took {seconds:.3} s"),
            Report::Failed(error, _) => {
                for record in self.records.iter_mut().filter(|record| record.role == role) {
                    record.cause = Some(format!("cannot start: {error}"));
                }
            }
            Report::Ready(info) => self.now_ready(role, &info),
        }
    }

    /// Handles that a process is ready, for the first time or again.
    pub(crate) fn now_ready(&mut self, role: Role, info: &Value) {
        let now = self.began.elapsed();
        let Some(index) = self.records.iter().position(|record| record.role == role) else { return };
        let life = self.children.get(index).map_or(0, |child| child.life);
        let Some(record) = self.records.get_mut(index) else { return };
        record.lives.on(Input::Ready, now);
        let Some(down_since) = record.down_since.take() else {
            if role == Role::Scheduler {
                self.pin_scheduler(info);
            }
            return;
        };
        tracing::info!(
            "the {role} works again after {:.3} s (life {life})",
            down_since.elapsed().as_secs_f64()
        );
        self.tell_others(role, PeerNews::Up(life));
        self.events.notify.status("Serving");
    }

    /// Gives later schedulers the KV pool size of the first one, so that requests that fitted fit again.
    fn pin_scheduler(&mut self, info: &Value) {
        if let Some(tokens) = info.get("max_total_num_tokens").and_then(Value::as_u64).filter(|n| *n > 0) {
            self.spawner.pin_scheduler(vec!["--max-total-tokens".into(), tokens.to_string().into()]);
        }
    }

    /// Checks the heartbeats of every process that is ready.
    fn look_after(&mut self) {
        let now = self.began.elapsed();
        for index in 0..self.records.len() {
            let (Some(child), Some(record)) = (self.children.get(index), self.records.get_mut(index)) else {
                continue;
            };
            if !record.lives.is_ready() || child.death.is_some() {
                continue;
            }
            let (role, life, pid) = (child.role, child.life, child.pid);
            let counters = child.ties.heartbeats.read();
            let Some((thread, age)) = record.pulse.look(counters, now, PERIOD) else { continue };
            let cause = format!(
                "showed no sign of life for {:.1} s (thread {thread:?}) and was ended",
                age.as_secs_f64()
            );
            let silent = age >= SILENT.min(self.settings.watchdog / 2);
            let news = (silent != record.silent).then(|| {
                record.silent = silent;
                if silent { PeerNews::Silent(life) } else { PeerNews::Up(life) }
            });
            let hung = age >= self.settings.watchdog;
            let action = if hung { record.lives.on(Input::Hung, now) } else { None };
            if hung {
                tracing::error!(
                    "the {role} has shown no sign of life for {:.1} s; its threads:",
                    age.as_secs_f64()
                );
                record.cause = Some(cause);
                for line in stacks::of(pid) {
                    tracing::error!("{role}: {line}");
                }
            }
            if let Some(news) = news {
                self.tell_others(role, news);
            }
            if let Some(action) = action {
                self.act(index, action);
            }
        }
    }

    /// Logs the last lines of a process that has ended.
    pub(crate) fn show_last_words(&self, role: Role) {
        let Some(child) = self.children.iter().find(|child| child.role == role && child.death.is_some())
        else {
            return;
        };
        let lines = child.last_words();
        if !lines.is_empty() {
            tracing::error!("the last lines of the {role}:");
            for line in lines {
                // Quoted, to distinguish them from the launcher's lines.
                tracing::error!("  {line:?}");
            }
        }
    }
}
