//! The compiler's side: starts a helper, sends it grammars, and kills it when the time is up.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::{self, AnswerFrame};
use crate::spec::GrammarSpec;

/// The result of trying a grammar in the helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It compiled.
    Fine,
    /// It is invalid; the text says what is wrong, and where.
    Refused(String),
    /// The time was up.
    TimedOut,
    /// The helper died; the text says how.
    Died(String),
}

/// Why a helper did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartError {
    /// The time was up.
    TimedOut,
    /// The program cannot be run or ended at once; the text says why.
    Unavailable(String),
}

/// A helper process that has read its vocabulary. Dropping it kills the process.
pub(crate) struct Helper {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Number of grammars that it has compiled.
    tried: usize,
}

/// Why a helper did not answer.
enum Fault {
    Late,
    Gone(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl Helper {
    /// Starts `program` and sends it the vocabulary in `start`.
    ///
    /// # Errors
    /// If it did not start in time, or at all.
    pub(crate) fn start(program: &Path, start: &[u8], deadline: Instant) -> Result<Self, StartError> {
        let unavailable = |e: io::Error| StartError::Unavailable(format!("{}: {e}", program.display()));
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(unavailable)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(unavailable(io::Error::other("no pipe")));
        };
        let mut helper = Self { child, input, output, tried: 0 };
        let ready = helper.unblock().map_err(Fault::from).and_then(|()| helper.ask(start, deadline));
        match ready {
            Ok(None) => Ok(helper),
            Ok(Some(why)) => Err(unavailable(io::Error::other(why))),
            Err(Fault::Late) => Err(StartError::TimedOut),
            Err(Fault::Gone(e)) => Err(unavailable(io::Error::other(format!("{} ({e})", helper.end())))),
        }
    }

    /// Makes the helper compile a grammar. After a verdict other than fine or refused, the helper cannot be used again.
    pub(crate) fn check(&mut self, spec: &GrammarSpec, deadline: Instant) -> Verdict {
        let frame = match frame::encode(spec) {
            Ok(frame) => frame,
            Err(e) => return Verdict::Refused(e.to_string()),
        };
        self.tried += 1;
        match self.ask(&frame, deadline) {
            Ok(None) => Verdict::Fine,
            Ok(Some(message)) => Verdict::Refused(message),
            Err(Fault::Late) => Verdict::TimedOut,
            Err(Fault::Gone(_)) => Verdict::Died(self.end()),
        }
    }

    /// Whether this is its first grammar, so that no earlier one can have used up its memory.
    pub(crate) fn is_fresh(&self) -> bool {
        self.tried <= 1
    }

    /// Makes the pipes non-blocking, so that waiting for a full or empty pipe ends at the deadline.
    fn unblock(&self) -> io::Result<()> {
        for pipe in [self.input.as_fd(), self.output.as_fd()] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(())
    }

    fn ask(&mut self, mut frame: &[u8], deadline: Instant) -> Result<AnswerFrame, Fault> {
        while !frame.is_empty() {
            match self.input.write(frame) {
                Ok(written) => frame = frame.get(written..).unwrap_or_default(),
                Err(e) => await_pipe(&e, self.input.as_fd(), PollFlags::POLLOUT, deadline)?,
            }
        }
        let mut length = [0; 4];
        self.read(&mut length, deadline)?;
        let mut body = vec![0; frame::body_length(length)?];
        self.read(&mut body, deadline)?;
        Ok(frame::decode(&body)?)
    }

    fn read(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<(), Fault> {
        while !buffer.is_empty() {
            match self.output.read(buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
                Err(e) => await_pipe(&e, self.output.as_fd(), PollFlags::POLLIN, deadline)?,
            }
        }
        Ok(())
    }

    /// Kills the process, and returns how it had ended by itself, if it had.
    fn end(&mut self) -> String {
        // Killing a process that has already ended has no effect.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => match status.signal().map(nix::sys::signal::Signal::try_from) {
                Some(Ok(signal)) => signal.to_string(),
                _ => status.to_string(),
            },
            Err(e) => e.to_string(),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until the pipe can be used again, if that is what `error` asks for.
fn await_pipe(
    error: &io::Error,
    pipe: BorrowedFd<'_>,
    flags: PollFlags,
    deadline: Instant,
) -> Result<(), Fault> {
    match error.kind() {
        io::ErrorKind::Interrupted => return Ok(()),
        io::ErrorKind::WouldBlock => {}
        kind => return Err(io::Error::from(kind).into()),
    }
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Fault::Late);
    }
    // Rounded up, so that the last millisecond is not spent spinning.
    let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
    let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(pipe, flags)], timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(e) => Err(io::Error::from(e).into()),
    }
}
