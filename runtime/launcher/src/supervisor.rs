//! Starts the server and ends it. `serving` supervises it in between.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use sglang_server_args::ServerArgs;

use crate::child::{ChildProcess, Death, Report};
use crate::events::{Event, Events};
use crate::outcome::{LaunchError, Outcome};
use crate::record::Record;
use crate::role::Role;
use crate::settings::Settings;
use crate::spawn::Spawner;
use crate::timeline::Timeline;
use crate::warmup::WarmUp;

/// How long to wait for the launcher's own signal after a process was ended by one: a signal to the process group may
/// reach that process first.
const OWN_SIGNAL: Duration = Duration::from_millis(200);
/// How long a process may take to end after it reported that it cannot start.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The processes of a server; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// The current or last life of each process, in the order of [`Role::ALL`].
    pub(crate) children: Vec<ChildProcess>,
    /// Records of the processes across their lives, in the same order.
    pub(crate) records: Vec<Record>,
    pub(crate) events: Events,
    pub(crate) settings: Settings,
    pub(crate) spawner: Spawner,
    /// Start of the time of the records.
    pub(crate) began: Instant,
    timeline: Timeline,
    /// Whether the model generates text, as the scheduler reported.
    is_generation: bool,
}

/// Result of a stage: it has ended, or the run has.
type Stage = io::Result<Result<(), Outcome>>;

impl Supervisor {
    /// Starts every process.
    pub(crate) fn start(
        spawner: Spawner,
        mut events: Events,
        settings: Settings,
        started: Instant,
        fetching: Option<Duration>,
    ) -> Result<Self, LaunchError> {
        let began = Instant::now();
        events.notify.status("Starting");
        events.notify.working_for(settings.startup.saturating_add(settings.warmup));
        let mut supervisor = Supervisor {
            children: Vec::new(),
            records: Role::ALL.map(|role| Record::new(role, settings.policy)).into(),
            events,
            settings,
            spawner,
            began,
            timeline: Timeline::new(started, began, fetching),
            is_generation: true,
        };
        for role in Role::ALL {
            supervisor.children.push(supervisor.spawner.spawn(role)?);
        }
        supervisor.timeline = Timeline::new(started, Instant::now(), fetching);
        Ok(supervisor)
    }

    /// Runs the server until it ends. Processes may still run when this returns.
    pub(crate) fn run(&mut self, args: &ServerArgs, address: SocketAddr) -> io::Result<Outcome> {
        match self.start_up(args, address)? {
            Ok(()) => self.serve(),
            Err(outcome) => Ok(outcome),
        }
    }

    /// Waits until the server is up.
    fn start_up(&mut self, args: &ServerArgs, address: SocketAddr) -> Stage {
        if let Err(outcome) = self.await_ready()? {
            return Ok(Err(outcome));
        }
        let mut warmed_up = None;
        if !args.skip_server_warmup {
            if let Err(outcome) = self.warm_up(args, address)? {
                return Ok(Err(outcome));
            }
            warmed_up = Some(Instant::now());
        }
        for child in &mut self.children {
            child.tell("up");
        }
        self.events.notify.ready();
        self.events.notify.status(&format!(
            "Serving {} on port {}",
            args.served_model_name(),
            address.port()
        ));
        tracing::info!("{}", self.timeline.line(warmed_up));
        tracing::info!("Serving {} on {}://{address}", args.served_model_name(), args.url_scheme());
        tracing::info!("The server is fired up and ready to roll!");
        Ok(Ok(()))
    }

    /// Waits until every process has reported that it is ready.
    fn await_ready(&mut self) -> Stage {
        let deadline = Instant::now() + self.settings.startup;
        loop {
            let Some(late) = Role::ALL.into_iter().find(|role| !self.timeline.is_ready(*role)) else {
                return Ok(Ok(()));
            };
            match self.events.next(&mut self.children, None, Some(deadline))? {
                Event::Report(role, report) => {
                    if let Err(outcome) = self.take_report(role, report) {
                        self.let_it_speak(role)?;
                        return Ok(Err(outcome));
                    }
                }
                Event::Deadline => {
                    let phase = self.timeline.last_phase(late);
                    return Ok(Err(Outcome::StartTimedOut(late, self.settings.startup, phase)));
                }
                Event::Death(role, death) => return self.died(role, death, false).map(Err),
                Event::Signal(signal) => return Ok(Err(stop(signal))),
                Event::Readable => {}
            }
        }
    }

    /// Waits for the end of a failed process, so that its log lines come before the launcher's.
    fn let_it_speak(&mut self, role: Role) -> io::Result<()> {
        let until = Instant::now() + LAST_WORDS;
        while !self.has_ended(role) {
            match self.events.next(&mut self.children, None, Some(until))? {
                Event::Deadline | Event::Signal(_) => break,
                Event::Death(..) | Event::Report(..) | Event::Readable => {}
            }
        }
        Ok(())
    }

    fn take_report(&mut self, role: Role, report: Report) -> Result<(), Outcome> {
        match report {
            Report::Phase(name, seconds) => {
                self.events.notify.status(&format!("Starting: {role}: {name}"));
                self.timeline.phase(role, name, seconds);
            }
            Report::Failed(error, code) => return Err(Outcome::StartFailed(role, error, code)),
            Report::Ready(info) => {
                tracing::debug!("the {role} is ready: {info}");
                self.now_ready(role, &info);
                if let Some(is_generation) = info.get("is_generation").and_then(serde_json::Value::as_bool) {
                    self.is_generation = is_generation;
                }
                self.timeline.ready(role, Instant::now());
            }
        }
        Ok(())
    }

    /// Sends one request and waits for the answer.
    fn warm_up(&mut self, args: &ServerArgs, address: SocketAddr) -> Stage {
        let mut warmup = match WarmUp::send(args, self.is_generation, address) {
            Ok(warmup) => warmup,
            Err(e) => return Ok(Err(Outcome::WarmupFailed(e.to_string()))),
        };
        let deadline = Instant::now() + self.settings.warmup;
        loop {
            match self.events.next(&mut self.children, Some(warmup.fd()), Some(deadline))? {
                Event::Readable => match warmup.read() {
                    None => {}
                    Some(Ok(())) => return Ok(Ok(())),
                    Some(Err(why)) => return Ok(Err(Outcome::WarmupFailed(why))),
                },
                Event::Deadline => {
                    let why = format!("no answer after {} s", self.settings.warmup.as_secs_f64());
                    return Ok(Err(Outcome::WarmupFailed(why)));
                }
                Event::Death(role, death) => return self.died(role, death, true).map(Err),
                Event::Signal(signal) => return Ok(Err(stop(signal))),
                Event::Report(..) => {}
            }
        }
    }

    pub(crate) fn has_ended(&self, role: Role) -> bool {
        self.children.iter().any(|c| c.role == role && c.death.is_some())
    }

    /// The outcome if a process ends before the server is up.
    fn died(&mut self, role: Role, death: Death, ready: bool) -> io::Result<Outcome> {
        Ok(match self.own_signal(death)? {
            Some(signal) => stop(signal),
            None if ready => {
                self.show_last_words(role);
                Outcome::Died(role, death.to_string(), None)
            }
            None => Outcome::DiedBeforeReady(role, death),
        })
    }

    /// If a process ended in a way that a signal to the whole process group explains, waits a moment for the launcher's
    /// own signal and returns it. SIGINT counts even if the launcher does not receive it.
    pub(crate) fn own_signal(&mut self, death: Death) -> io::Result<Option<Signal>> {
        if !death.may_be_wished() {
            return Ok(None);
        }
        let until = Instant::now() + OWN_SIGNAL;
        let mut others = Vec::new();
        let signal = loop {
            match self.events.next(&mut self.children, None, Some(until))? {
                Event::Signal(signal) => break Some(signal),
                Event::Deadline if death == Death::Signal(Signal::SIGINT) => break Some(Signal::SIGINT),
                Event::Deadline => break None,
                Event::Readable => {}
                other => others.push(other),
            }
        };
        self.events.put_back(others);
        Ok(signal)
    }

    /// Kills all remaining processes and waits for their end.
    pub(crate) fn kill_all(&mut self) {
        for child in &self.children {
            child.signal(Signal::SIGKILL);
        }
        for child in self.children.iter_mut().filter(|c| c.death.is_none()) {
            child.death = waitpid(child.pid, None).ok().and_then(Death::from_status).map(|(_, death)| death);
        }
        // Their last lines come before the launcher's.
        for child in &self.children {
            child.last_words();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// The outcome for a signal when no requests have to finish first.
pub(crate) fn stop(signal: Signal) -> Outcome {
    match signal {
        Signal::SIGTERM => Outcome::StoppedBeforeUp,
        signal => Outcome::Interrupted(signal),
    }
}
