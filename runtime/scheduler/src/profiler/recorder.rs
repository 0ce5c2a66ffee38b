//! Records what the scheduler's loop and the model's thread do, step by step.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sglang_proto::forward::ForwardResult;
use sglang_proto::messages::ProfileReq;

use super::trace::{Span, Trace, Track};
use crate::step::StepInfo;

/// Most spans of a trace, which then stops.
const MAX_SPANS: usize = 2_000_000;
/// Folder for traces if neither the caller nor `SGLANG_TORCH_PROFILER_DIR` names one.
const DEFAULT_DIR: &str = "/tmp";

/// Why a trace cannot be started or stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A trace is already running.
    #[error("Profiling is already in progress. Call /stop_profile first.")]
    Running,
    /// No trace is running.
    #[error("Profiling is not in progress. Call /start_profile first.")]
    NotRunning,
    /// An activity that cannot be recorded.
    #[error("activities: {0:?} cannot be recorded; expected CPU or GPU")]
    Activity(String),
    /// An option that is not supported.
    #[error("{0} is not supported: the trace holds all stages, and each step says which it is")]
    Option(&'static str),
    /// A name that would lead out of the folder.
    #[error("{0}: {1:?} is no file name; expected text without /")]
    Name(&'static str, String),
    /// A number below one.
    #[error("{0} must be 1 or more, got {1}")]
    Steps(&'static str, i64),
}

/// A running trace.
#[derive(Debug)]
struct Recording {
    trace: Trace,
    path: PathBuf,
    /// Steps before this one are not recorded.
    first_step: u64,
    /// Steps still to record.
    left: Option<u64>,
    steps: u64,
}

/// A finished trace that must be written.
#[derive(Debug)]
pub struct Finished {
    trace: Trace,
    /// File to write.
    pub path: PathBuf,
    /// Number of recorded steps.
    pub steps: u64,
}

impl Finished {
    /// Writes the file, and creates its folder if necessary. Takes long for a long trace.
    ///
    /// # Errors
    /// The folder or file cannot be written.
    pub fn write(&self) -> std::io::Result<()> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        self.trace.write_file(&self.path)
    }
}

/// Records while a trace is running; otherwise costs one comparison.
#[derive(Debug, Default)]
pub struct Recorder {
    recording: Option<Recording>,
}

impl Recorder {
    /// Starts a trace. `next_step` is the id of the next step.
    ///
    /// # Errors
    /// A trace is already running, or an option is unsupported.
    pub fn start(&mut self, request: &ProfileReq, next_step: u64) -> Result<PathBuf, ProfileError> {
        if self.recording.is_some() {
            return Err(ProfileError::Running);
        }
        for activity in request.activities.iter().flatten() {
            if !matches!(activity.as_str(), "CPU" | "GPU") {
                return Err(ProfileError::Activity(activity.clone()));
            }
        }
        if request.profile_by_stage {
            return Err(ProfileError::Option("profile_by_stage"));
        }
        if request.profile_stages.as_ref().is_some_and(|stages| !stages.is_empty()) {
            return Err(ProfileError::Option("profile_stages"));
        }
        let number = |name, value: Option<i64>| match value {
            None | Some(0) => Ok(None),
            Some(n) => u64::try_from(n).map(Some).map_err(|_| ProfileError::Steps(name, n)),
        };
        let left = number("num_steps", request.num_steps)?;
        let first_step = number("start_step", request.start_step)?.map_or(next_step, |s| s.max(next_step));
        let path = file(request)?;
        tracing::info!("Profiling starts. The trace will be saved to: {}", path.display());
        self.recording =
            Some(Recording { trace: Trace::new(), path: path.clone(), first_step, left, steps: 0 });
        Ok(path)
    }

    /// Stops the trace.
    ///
    /// # Errors
    /// No trace is running.
    pub fn stop(&mut self) -> Result<Finished, ProfileError> {
        let Recording { trace, path, steps, .. } = self.recording.take().ok_or(ProfileError::NotRunning)?;
        Ok(Finished { trace, path, steps })
    }

    /// Takes the trace if all its steps are recorded or it has reached its maximum length.
    pub fn take_finished(&mut self) -> Option<Finished> {
        let done = |r: &Recording| r.left == Some(0) || r.trace.spans.len() >= MAX_SPANS;
        self.recording.as_ref().is_some_and(done).then(|| self.stop().ok()).flatten()
    }

    /// The current time if a trace is running, as the start of a [`Recorder::span`].
    pub fn now(&self) -> Option<Instant> {
        self.recording.as_ref().map(|_| Instant::now())
    }

    /// Records that the loop did `name` from `start` until now.
    pub fn span(&mut self, name: &'static str, start: Option<Instant>, step: Option<StepInfo>) {
        if let (Some(recording), Some(start)) = (&mut self.recording, start) {
            let span = Span { name, track: Track::Scheduler, start, end: Instant::now(), step };
            recording.trace.spans.push(span);
        }
    }

    /// Records a step that the model has run. `result` is absent if it failed.
    pub fn step(&mut self, info: StepInfo, started: Instant, ended: Instant, result: Option<&ForwardResult>) {
        let Some(recording) = &mut self.recording else { return };
        if info.forward_id < recording.first_step {
            return;
        }
        let spans = &mut recording.trace.spans;
        let mut push = |name, start, end, step| {
            spans.push(Span { name, track: Track::Model, start, end, step });
        };
        let name = match info.stage() {
            "DECODE" => "decode",
            "EXTEND" => "extend",
            _ => "mixed",
        };
        push(name, started, ended, Some(info));
        if let Some(result) = result {
            let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or_default();
            let prepared = (started + seconds(result.prepare_seconds)).min(ended);
            let sampling = seconds(result.sample_seconds);
            let computed = ended.checked_sub(sampling).map_or(prepared, |at| at.max(prepared));
            push("prepare", started, prepared, None);
            push("forward", prepared, computed, None);
            push("sample", computed, ended, None);
        }
        recording.steps += 1;
        if let Some(left) = &mut recording.left {
            *left = left.saturating_sub(1);
        }
    }

    /// Whether a trace is running.
    pub fn is_on(&self) -> bool {
        self.recording.is_some()
    }
}

/// Path of the trace file, named as in the reference for rank 0.
fn file(request: &ProfileReq) -> Result<PathBuf, ProfileError> {
    let plain = |what, name: &Option<String>| match name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) if name.contains(['/', '\0']) => Err(ProfileError::Name(what, name.to_owned())),
        name => Ok(name.map(str::to_owned)),
    };
    let id = plain("profile_id", &request.profile_id)?.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("{:.7}", now.unwrap_or_default().as_secs_f64())
    });
    let prefix = plain("profile_prefix", &request.profile_prefix)?.map_or(String::new(), |p| p + "-");
    let dir = match request.output_dir.as_deref().filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.to_owned(),
        None => std::env::var("SGLANG_TORCH_PROFILER_DIR").unwrap_or_else(|_| DEFAULT_DIR.to_owned()),
    };
    Ok(PathBuf::from(dir).join(format!("{prefix}{id}-TP-0.trace.json.gz")))
}
