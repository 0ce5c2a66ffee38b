//! The helper process: compiles the grammars that it is sent, and reports the results.

use std::io::{self, Read, Write};

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use super::frame::{self, AnswerFrame, StartFrame, TryFrame};
use crate::builder::Builder;
use crate::environment::TokenEnvironment;

/// Stack of the compiling thread: smaller than that of the scheduler's threads, so that what fits here also fits there.
const STACK_BYTES: usize = crate::mask_pool::STACK_BYTES / 4 * 3;
/// Address space for one grammar, in addition to what the helper uses before its first one.
const MEMORY_BYTES: u64 = 512 << 20;

/// Why the helper ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The pipe to the scheduler failed, or the input was not a frame.
    #[error("the pipe to the scheduler: {0}")]
    Pipe(#[from] io::Error),
    /// A limit could not be set.
    #[error("limiting the helper's memory: {0}")]
    Limit(#[from] nix::Error),
}

/// Serves one scheduler until it closes the pipe. The process ends when its parent does.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(input: impl Read + Send, output: impl Write + Send) -> Result<(), ServeError> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Grammars that overflow the stack are expected, so core dumps are of no use.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("grammar-try".into()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || answer(input, output))?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the compiler panicked").into()))
    })
}

fn answer(mut input: impl Read, mut output: impl Write) -> Result<(), ServeError> {
    let Some(start) = frame::read::<StartFrame>(&mut input)? else { return Ok(()) };
    let env = TokenEnvironment::new(start.vocab, start.vocab_size, &start.eos);
    let builder = match env.and_then(|env| Builder::new(env, &start.config)) {
        Ok(builder) => builder,
        Err(error) => {
            frame::write(&mut output, &AnswerFrame::Some(error.to_string()))?;
            return Ok(());
        }
    };
    let limit = address_space()? + MEMORY_BYTES;
    setrlimit(Resource::RLIMIT_AS, limit, limit)?;
    frame::write(&mut output, &AnswerFrame::None)?;
    while let Some(spec) = frame::read::<TryFrame>(&mut input)? {
        frame::write(&mut output, &builder.build(&spec).err())?;
    }
    Ok(())
}

/// Bytes of address space that this process uses.
fn address_space() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no number"))?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    Ok(pages * page.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096))
}
