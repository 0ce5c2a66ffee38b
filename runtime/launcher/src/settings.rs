//! Time limits from the arguments and the environment.

use std::time::Duration;

use sglang_server_args::ServerArgs;

use crate::outcome::LaunchError;
use crate::policy::Policy;

/// Smaller values of `--watchdog-timeout` count as this one. A waiting thread has a heartbeat only now and then; with a
/// smaller limit it would be considered hung.
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(2);

/// Time limits of the launcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// `SGLANG_STARTUP_TIMEOUT`: seconds until every process must be ready. Default 600.
    pub(crate) startup: Duration,
    /// `SGLANG_WARMUP_TIMEOUT`: seconds for the warm-up request. The default is 600, like in the reference; -1 means
    /// the default.
    pub(crate) warmup: Duration,
    /// `SGLANG_SHUTDOWN_TIMEOUT`: seconds for running requests to finish after SIGTERM. Default 15.
    pub(crate) shutdown: Duration,
    /// When processes are restarted.
    pub(crate) policy: Policy,
    /// Time without heartbeat after which a process is considered hung (`--watchdog-timeout`).
    pub(crate) watchdog: Duration,
}

impl Settings {
    /// Reads the limits. A value that is not a number of seconds is an error that names its variable.
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, LaunchError> {
        let startup = seconds("SGLANG_STARTUP_TIMEOUT", 600)?;
        let limit = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Ok(Settings {
            startup,
            policy: Policy {
                max_restarts: if args.restart_policy == "never" { 0 } else { args.max_restarts },
                window: limit(args.restart_window),
                start_limit: startup,
            },
            watchdog: limit(args.watchdog_timeout).max(SHORTEST_WATCHDOG),
            warmup: seconds("SGLANG_WARMUP_TIMEOUT", 600)?,
            shutdown: seconds("SGLANG_SHUTDOWN_TIMEOUT", 15)?,
        })
    }
}

fn seconds(name: &'static str, default: u64) -> Result<Duration, LaunchError> {
    match std::env::var_os(name) {
        None => Ok(Duration::from_secs(default)),
        Some(text) => parse(&text.to_string_lossy(), default)
            .ok_or_else(|| LaunchError::BadEnvironment(name, text.to_string_lossy().into_owned())),
    }
}

/// Parses seconds, at most a year; -1 means the default.
fn parse(text: &str, default: u64) -> Option<Duration> {
    match text.trim().parse::<f64>() {
        Ok(-1.0) => Some(Duration::from_secs(default)),
        Ok(number) if (0.0..=3.2e7).contains(&number) => Some(Duration::from_secs_f64(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_seconds_and_minus_one_is_the_default() {
        assert_eq!(parse("0.5", 600), Some(Duration::from_millis(500)));
        assert_eq!(parse("-1", 600), Some(Duration::from_secs(600)));
        for bad in ["", "soon", "-2", "nan", "inf", "1e300"] {
            assert_eq!(parse(bad, 600), None, "{bad}");
        }
    }
}
