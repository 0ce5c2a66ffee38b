//! `sglang-launch`: starts the processes of a server, reports when it is ready, supervises it, and ends all of it.
//!
//! It has one thread with one `poll` loop over signals, ends of processes, start-up reports and the warm-up answer.
//! While the server is up, it watches the heartbeats of the processes, and restarts those that die or hang. It binds
//! the listening socket and creates the folder for the processes' sockets, so both survive the end of any process, and
//! neither survives the run. It never serves requests and never loads a model.

mod child;
mod events;
mod ipc_dir;
mod last_words;
mod model;
mod notify;
mod outcome;
mod policy;
mod port;
mod pulse;
mod record;
mod role;
mod serving;
mod settings;
mod spawn;
mod stacks;
mod supervisor;
mod timeline;
mod tls;
mod warmup;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sglang_process::start::start;
use sglang_server_args::{JsonObject, ServerArgs, secrets};

use events::Events;
use ipc_dir::IpcDir;
use model::Fetched;
use outcome::{LaunchError, Outcome};
use port::Bound;
use settings::Settings;
use spawn::Spawner;
use supervisor::Supervisor;

/// Runs a server until it ends. The first element of the command line is the program's name. `docs/operations.md` lists
/// the exit codes.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let started = Instant::now();
    let argv: Vec<OsString> = argv.into_iter().collect();
    let args = match start(argv.iter().cloned(), None) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match launch(&args, &argv, started) {
        Ok(outcome) => {
            outcome.log();
            ExitCode::from(outcome.exit_code())
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs a server with the given arguments. When this returns, no process, socket or folder of the run is left.
fn launch(args: &ServerArgs, argv: &[OsString], started: Instant) -> Result<Outcome, LaunchError> {
    // First of all, so that a signal never leaves sockets or folders behind.
    let mut events = Events::new().map_err(|e| LaunchError::System("watching for signals", e))?;
    let settings = Settings::new(args)?;
    tls::check(args)?;
    tracing::info!("server_args={}", serde_json::Value::Object(given_arguments(args)));
    if let Some(line) = ignored_flags(args) {
        tracing::warn!("{line}");
    }
    let listener = match port::bind(args, &mut events)? {
        Bound::Listener(listener) => listener,
        Bound::Stopped(outcome) => return Ok(outcome),
    };
    let address =
        listener.local_addr().map_err(|e| LaunchError::System("reading the listening address", e))?;
    let (files, fetching) = match model::fetch(args, &mut events)? {
        Fetched::Files(files, taken) => (files, taken),
        Fetched::Stopped(outcome) => return Ok(outcome),
    };
    let ipc_dir = IpcDir::create(args.ipc_dir.as_deref().map(Path::new))?;
    let argv = spawn::child_arguments(args, argv, &ipc_dir, address, &files);
    let spawner = Spawner::new(argv, listener, ipc_dir.last_life());
    let mut supervisor = Supervisor::start(spawner, events, settings, started, fetching)?;
    let outcome = supervisor.run(args, address);
    supervisor.events.notify.stopping();
    supervisor.kill_all();
    outcome.map_err(|e| LaunchError::System("waiting for the processes", e))
}

/// Names the given flags that have no effect, for the log. `None` without such flags.
fn ignored_flags(args: &ServerArgs) -> Option<String> {
    let given: Vec<String> =
        args.without_effect.keys().map(|name| format!("--{}", name.replace('_', "-"))).collect();
    (!given.is_empty()).then(|| format!("Ignored, for features that this server lacks: {}", given.join(", ")))
}

/// The arguments that differ from their defaults, for the log. Keys are not shown.
fn given_arguments(args: &ServerArgs) -> JsonObject {
    let defaults = ServerArgs::parse_from(["sglang-launch", "--model-path", &args.model_path])
        .map(|args| args.to_json())
        .unwrap_or_default();
    let mut given = args.to_json();
    given.retain(|name, value| name == "model_path" || defaults.get(name) != Some(value));
    for secret in secrets() {
        if let Some(value) = given.get_mut(secret).filter(|value| !value.is_null()) {
            *value = "***".into();
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_flags_that_have_no_effect() {
        let line = |more: &[&str]| {
            let argv = [&["x", "--model-path", "m"][..], more].concat();
            ignored_flags(&ServerArgs::parse_from(argv).expect("valid"))
        };
        assert_eq!(line(&[]), None);
        let expected = "Ignored, for features that this server lacks: --nccl-port, --enable-torch-compile";
        let given = line(&["--enable-torch-compile", "--nccl-port", "1"]);
        assert_eq!(given.as_deref(), Some(expected), "in the order of the table");
    }

    #[test]
    fn the_log_shows_what_differs_from_the_defaults_and_no_key() {
        let argv = ["x", "--model-path", "m", "--port", "1", "--api-key", "secret", "--host", "127.0.0.1"];
        let given = given_arguments(&ServerArgs::parse_from(argv).expect("valid"));
        let expected = serde_json::json!({"model_path": "m", "port": 1, "api_key": "***"});
        assert_eq!(serde_json::Value::Object(given), expected);
    }
}
