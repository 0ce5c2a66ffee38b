//! The model's files: local ones, or files of the hub, which the launcher downloads before it starts processes, so that
//! these never compete for them.

use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sglang_hub::{HubError, HubFiles, HubSettings, TerminalProgress, reference_of};
use sglang_server_args::ServerArgs;

use crate::events::{Event, Events};
use crate::outcome::{LaunchError, Outcome};
use crate::supervisor::stop;

/// Result of a download.
pub(crate) enum Fetched {
    /// The files and the duration of the download; `None` if nothing is on the hub.
    Files(HubFiles, Option<Duration>),
    /// A signal arrived first. The next start resumes the download.
    Stopped(Outcome),
}

/// Downloads the files that the arguments name on the hub. Handles signals meanwhile.
pub(crate) fn fetch(args: &ServerArgs, events: &mut Events) -> Result<Fetched, LaunchError> {
    let on_hub = |path: &str| reference_of(path).is_some();
    if !Path::new(&args.model_path).exists() && !on_hub(&args.model_path) {
        return Err(LaunchError::NoModel(args.model_path.clone()));
    }
    let tokenizer = args.tokenizer_path.as_deref();
    if !on_hub(&args.model_path) && !tokenizer.is_some_and(on_hub) {
        return Ok(Fetched::Files(HubFiles::default(), None));
    }
    let started = Instant::now();
    events.notify.status(&format!("Fetching {}", args.model_path));
    // Practically unlimited, because the hub's client has its own limits.
    events.notify.working_for(Duration::from_secs(24 * 3600));
    let (done, result) = start(args.clone()).map_err(|e| LaunchError::System("starting a download", e))?;
    loop {
        match events
            .next(&mut [], Some(done.as_fd()), None)
            .map_err(|e| LaunchError::System("waiting for a download", e))?
        {
            Event::Readable => break,
            Event::Signal(signal) => return Ok(Fetched::Stopped(stop(signal))),
            Event::Report(..) | Event::Death(..) | Event::Deadline => {}
        }
    }
    let lost = |_| LaunchError::System("a download", io::Error::other("its thread panicked"));
    let files = result.recv().map_err(lost)??;
    Ok(Fetched::Files(files, Some(started.elapsed())))
}

/// Starts a thread that downloads. The pipe is closed when the result is available.
fn start(args: ServerArgs) -> io::Result<(PipeReader, mpsc::Receiver<Result<HubFiles, HubError>>)> {
    let (done, working) = io::pipe()?;
    let (sender, result) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("hub".to_owned()).spawn(move || {
        let settings = HubSettings::from_env().in_download_dir(args.download_dir.as_deref());
        let progress = TerminalProgress::new(&args.model_path, settings.progress);
        // This fails if a signal has ended the run.
        let _ = sender.send(HubFiles::fetch(&args, &settings, &progress));
        drop(working);
    })?;
    Ok((done, result))
}
