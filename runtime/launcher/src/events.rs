//! The launcher's events, from one `poll`: signals, ends of processes (by pidfd), start-up reports, and the warm-up
//! answer. Every wait also notifies systemd.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};

use crate::child::{ChildProcess, Death, Report};
use crate::notify::Notify;
use crate::role::Role;

/// An event.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The launcher received a signal other than SIGCHLD.
    Signal(Signal),
    /// A process reported progress of its start-up.
    Report(Role, Report),
    /// A process ended and was reaped.
    Death(Role, Death),
    /// The extra descriptor is readable.
    Readable,
    /// The deadline has passed.
    Deadline,
}

/// The source of events.
#[derive(Debug)]
pub(crate) struct Events {
    /// Notifies systemd during every wait.
    pub(crate) notify: Notify,
    signals: SignalFd,
    queue: VecDeque<Event>,
}

impl Events {
    /// Blocks the signals permanently and reads them from a descriptor instead.
    pub(crate) fn new() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Events { notify: Notify::from_env(), signals, queue: VecDeque::new() })
    }

    /// Waits for the next event. Reports of a process come before its death.
    pub(crate) fn next(
        &mut self,
        children: &mut [ChildProcess],
        extra: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            let now = Instant::now();
            self.notify.wake(now);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Event::Deadline);
            }
            let until = deadline.into_iter().chain(self.notify.due()).min();
            let left = until.map(|until| until.saturating_duration_since(now));
            if self.wait(children, extra, left)? {
                return Ok(Event::Readable);
            }
            self.take_signals()?;
            self.reap(children)?;
            for child in children.iter_mut() {
                let role = child.role;
                self.queue.extend(child.read_report().into_iter().map(|r| Event::Report(role, r)));
            }
        }
    }

    /// Puts back events that arrived while waiting for another one.
    pub(crate) fn put_back(&mut self, events: Vec<Event>) {
        for event in events.into_iter().rev() {
            self.queue.push_front(event);
        }
    }

    /// Sleeps until a descriptor is readable or the deadline has passed. Returns whether only the extra descriptor is
    /// readable.
    fn wait(
        &self,
        children: &[ChildProcess],
        extra: Option<BorrowedFd<'_>>,
        left: Option<Duration>,
    ) -> io::Result<bool> {
        let reports = children.iter().filter_map(|c| c.ties.report.as_ref()).map(AsFd::as_fd);
        let alive = children.iter().filter(|c| c.death.is_none());
        let pidfds = alive.filter_map(|c| c.ties.pidfd.as_ref()).map(AsFd::as_fd);
        let mut fds: Vec<PollFd<'_>> = std::iter::once(self.signals.as_fd())
            .chain(reports)
            .chain(pidfds)
            .chain(extra)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let timeout = match left {
            None => PollTimeout::NONE,
            // Rounded up, so that the deadline has passed when poll returns.
            Some(left) => {
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::from(u16::MAX))
            }
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut readable = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let extra_readable = extra.is_some() && readable.next_back().unwrap_or(false);
        Ok(extra_readable && !readable.any(|r| r))
    }

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            match i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok()) {
                // From orphans, and from processes without a pidfd.
                Some(Signal::SIGCHLD) | None => {}
                Some(signal) => self.queue.push_back(Event::Signal(signal)),
            }
        }
        Ok(())
    }

    /// Reaps every process that has ended. As process 1 of a container, the launcher also gets orphans that it did not
    /// start, and ignores them.
    fn reap(&mut self, children: &mut [ChildProcess]) -> io::Result<()> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(nix::sys::wait::WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let Some((pid, death)) = Death::from_status(status) else { continue };
            if let Some(child) = children.iter_mut().find(|c| c.pid == pid && c.death.is_none()) {
                let role = child.role;
                self.queue.extend(child.read_report().into_iter().map(|r| Event::Report(role, r)));
                child.death = Some(death);
                self.queue.push_back(Event::Death(role, death));
            }
        }
    }
}
