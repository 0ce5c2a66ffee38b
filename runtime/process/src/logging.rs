//! Log lines with the reference's prefix: `[2026-01-31 12:00:00 TP0] message`, on stderr.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// Target of the HTTP server's own lines (access log), which `--log-level-http` governs.
pub const HTTP_TARGET: &str = "http";

/// Level names that [`set_level`] takes.
const LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "warn", "error", "critical"];

/// Changes the filter of the running process.
type Reload = Box<dyn Fn(Targets) -> Result<(), reload::Error> + Send + Sync>;
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// Why the level stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetLevelError {
    /// No such level.
    #[error("Unknown level: {0:?}; expected debug, info, warning, error or critical")]
    Unknown(String),
    /// The process does not log, or its log has ended.
    #[error("the log level cannot be changed: {0}")]
    NotLogging(String),
}

/// Whether a level has this name, in any case.
pub fn is_level(name: &str) -> bool {
    LEVELS.contains(&name.to_ascii_lowercase().as_str())
}

/// Logs from `name` on, such as `debug`, in any case. Replaces what `SGLANG_LOG` or the flags said.
///
/// # Errors
/// There is no such level, or [`init`] was not called.
pub fn set_level(name: &str) -> Result<(), SetLevelError> {
    if !is_level(name) {
        return Err(SetLevelError::Unknown(name.to_owned()));
    }
    let reload = RELOAD.get().ok_or_else(|| SetLevelError::NotLogging("logging was not started".into()))?;
    let name = name.to_ascii_lowercase();
    reload(targets(&name, &name)).map_err(|error| SetLevelError::NotLogging(error.to_string()))
}

fn targets(level: &str, level_http: &str) -> Targets {
    Targets::new()
        .with_default(level_filter(level))
        .with_target(HTTP_TARGET, level_filter(level_http))
        // Its start and stop lines say nothing that ours do not.
        .with_target("actix_server", LevelFilter::WARN)
}

/// Starts logging. `suffix` stands after the time, as `TP0` does in a scheduler's lines. `level` and `level_http` are
/// the values of `--log-level` and `--log-level-http`. The environment variable `SGLANG_LOG` may say more, in the
/// form `info,sglang_scheduler=debug`.
///
/// Call it before any thread starts: the offset to local time cannot be read safely afterwards, and times would be in
/// UTC. Later calls have no effect.
pub fn init(suffix: Option<&str>, level: &str, level_http: Option<&str>) {
    let filter = std::env::var("SGLANG_LOG")
        .ok()
        .and_then(|text| text.parse::<Targets>().ok())
        .unwrap_or_else(|| targets(level, level_http.unwrap_or(level)));
    let (filter, handle) = reload::Layer::new(filter);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .event_format(Prefix::new(suffix, UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC)));
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    // The second of two calls fails, and the first goes on.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = RELOAD.set(Box::new(move |targets| handle.reload(targets)));
    }
}

/// Python's level names, as the flags take them.
fn level_filter(name: &str) -> LevelFilter {
    match name {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warning" | "warn" => LevelFilter::WARN,
        "error" | "critical" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

/// The line format.
struct Prefix {
    /// Empty, or a space and the suffix.
    suffix: String,
    offset: UtcOffset,
}

impl Prefix {
    fn new(suffix: Option<&str>, offset: UtcOffset) -> Self {
        Prefix { suffix: suffix.map(|s| format!(" {s}")).unwrap_or_default(), offset }
    }
}

impl<S, N> FormatEvent<S, N> for Prefix
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let time =
            OffsetDateTime::now_utc().to_offset(self.offset).format(&format).map_err(|_| fmt::Error)?;
        let (dim, reset) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        write!(writer, "{dim}[{time}{}]{reset} ", self.suffix)?;
        let level = *event.metadata().level();
        let (name, colour) = match level {
            Level::ERROR => ("ERROR: ", "\x1b[31m"),
            Level::WARN => ("WARNING: ", "\x1b[33m"),
            Level::INFO => ("", ""),
            Level::DEBUG => ("DEBUG: ", "\x1b[2m"),
            Level::TRACE => ("TRACE: ", "\x1b[2m"),
        };
        match writer.has_ansi_escapes() && !name.is_empty() {
            true => write!(writer, "{colour}{name}\x1b[0m")?,
            false => writer.write_str(name)?,
        }
        if level > Level::INFO {
            write!(writer, "{}: ", event.metadata().target())?;
        }
        ctx.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(suffix: Option<&str>, ansi: bool, log: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(ansi)
            .with_writer(move || writer.clone())
            .event_format(Prefix::new(suffix, UtcOffset::UTC));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = sink.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("utf-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_the_time_the_rank_and_the_message_and_no_more() {
        let lines = lines(Some("TP0"), false, || tracing::info!("Decode batch, #running-req: 1"));
        let line = lines.first().expect("one line");
        let (prefix, message) = line.split_once("] ").expect("a prefix");
        assert_eq!(message, "Decode batch, #running-req: 1");
        assert!(prefix.starts_with("[20") && prefix.ends_with(" TP0"), "{prefix}");
        assert_eq!(prefix.len(), "[2026-01-31 12:00:00 TP0".len());
    }

    #[test]
    fn warnings_and_errors_show_their_level_and_fields_follow_the_message() {
        let lines = lines(None, false, || {
            tracing::warn!(pid = 7, "slow");
            tracing::error!("broken");
        });
        assert!(lines[0].ends_with("] WARNING: slow pid=7"), "{}", lines[0]);
        assert!(lines[1].ends_with("] ERROR: broken"), "{}", lines[1]);
        assert!(!lines[0].contains("TP0"));
    }

    #[test]
    fn colour_is_used_only_when_asked_for() {
        assert!(lines(None, true, || tracing::error!("x"))[0].contains("\x1b[31m"));
        assert!(!lines(None, false, || tracing::error!("x"))[0].contains('\x1b'));
    }

    #[test]
    fn a_level_can_be_changed_only_to_one_that_exists_and_only_of_a_running_log() {
        assert!(is_level("WARNING") && is_level("debug") && !is_level("loud"));
        assert_eq!(set_level("loud"), Err(SetLevelError::Unknown("loud".into())));
        assert!(matches!(set_level("debug"), Err(SetLevelError::NotLogging(_))));
        init(None, "warning", None);
        assert!(!tracing::enabled!(Level::DEBUG));
        set_level("DEBUG").expect("a running log");
        assert!(tracing::enabled!(Level::DEBUG));
    }

    #[test]
    fn level_names_are_those_of_the_flag() {
        assert_eq!(level_filter("warning"), LevelFilter::WARN);
        assert_eq!(level_filter("critical"), LevelFilter::ERROR);
        assert_eq!(level_filter("debug"), LevelFilter::DEBUG);
    }
}
