//! Log lines with the reference's prefix: `[2026-01-31 12:00:00 TP0] message`, on stderr.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tracing::field::{Field, Visit};
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

/// Target of lines that are written without time and level, because they are JSON that contains both.
pub const BARE_TARGET: &str = "bare";

/// Level names that [`set_level`] accepts.
const LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "warn", "error", "critical"];

/// Changes the filter of the running process.
type Reload = Box<dyn Fn(Targets) -> Result<(), reload::Error> + Send + Sync>;
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// Why the level cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetLevelError {
    /// No such level.
    #[error("Unknown level: {0:?}; expected debug, info, warning, error or critical")]
    Unknown(String),
    /// Logging was not started or has ended.
    #[error("the log level cannot be changed: {0}")]
    NotLogging(String),
}

/// Why `SGLANG_LOG` is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "SGLANG_LOG: {part:?} in {text:?} is not understood; expected a level (off, error, warning, info, debug, trace), or \
     TARGET=LEVEL, or several of them divided by commas, such as info,sglang_scheduler=debug"
)]
pub struct LogFilterError {
    text: String,
    part: String,
}

/// Whether this is the name of a level, in upper or lower case.
pub fn is_level(name: &str) -> bool {
    LEVELS.contains(&name.to_ascii_lowercase().as_str())
}

/// Sets the minimum level to `name`, such as `debug`, in upper or lower case. Replaces the settings of `SGLANG_LOG` and
/// of the flags.
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
        // Its start and stop lines only repeat ours.
        .with_target("actix_server", LevelFilter::WARN)
}

/// Starts logging. `suffix` follows the time in each line, such as `TP0` for a scheduler. `level` and `level_http` are
/// the values of `--log-level` and `--log-level-http`. The environment variable `SGLANG_LOG` can set levels per module,
/// such as `info,sglang_scheduler=debug`.
///
/// Call it before any thread starts: afterwards, the offset of local time cannot be read safely, and times would be in
/// UTC. Later calls have no effect.
///
/// # Errors
/// `SGLANG_LOG` is invalid.
pub fn init(suffix: Option<&str>, level: &str, level_http: Option<&str>) -> Result<(), LogFilterError> {
    let filter = match std::env::var_os("SGLANG_LOG") {
        Some(text) if !text.is_empty() => read_filter(&text.to_string_lossy())?,
        _ => targets(level, level_http.unwrap_or(level)),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .event_format(Prefix::new(suffix, UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC)));
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    // A second call fails here, and the first one stays in effect.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = RELOAD.set(Box::new(move |targets| handle.reload(targets)));
    }
    Ok(())
}

/// Parses a filter. Rejects words that are neither level nor target: `tracing` would read them as targets, which turns
/// all other lines off.
fn read_filter(text: &str) -> Result<Targets, LogFilterError> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim) {
        let wrong = || LogFilterError { text: text.to_owned(), part: part.to_owned() };
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, part),
        };
        let level = level.to_ascii_lowercase();
        let level = match level.as_str() {
            "off" => LevelFilter::OFF,
            known if is_level(known) => level_filter(known),
            _ => return Err(wrong()),
        };
        targets = match target {
            None => targets.with_default(level),
            Some(target) if is_target(target) => targets.with_target(target, level),
            Some(_) => return Err(wrong()),
        };
    }
    Ok(targets)
}

/// Whether a string can be the path of a module.
fn is_target(text: &str) -> bool {
    let is_name =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.split("::").all(is_name)
}

/// The current time for JSON lines: RFC 3339 in UTC, with microseconds.
pub fn now() -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");
    OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}

/// The filter for a Python level name, as in the flags.
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
        if event.metadata().target() == BARE_TARGET {
            let mut message = Message(String::new());
            event.record(&mut message);
            return writeln!(writer, "{}", message.0);
        }
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

/// Collects the message of a line, unchanged.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
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
        init(None, "warning", None).expect("no filter in the environment");
        assert!(!tracing::enabled!(Level::DEBUG));
        set_level("DEBUG").expect("a running log");
        assert!(tracing::enabled!(Level::DEBUG));
    }

    #[test]
    fn a_bare_line_is_written_as_it_is() {
        let text = r#"{"text": "a\u001b\"ü{}"}"#;
        let lines = lines(Some("TP0"), true, || tracing::info!(target: BARE_TARGET, "{text}"));
        assert_eq!(lines, [text]);
        assert_eq!(now().len(), "2026-01-31T12:00:00.000000+00:00".len());
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_an_error() {
        let read = |text: &str| read_filter(text).map(|targets| targets.to_string());
        for text in
            ["debug", "INFO", "warning", "off", "info,sglang_scheduler=debug", "http=off, info", "a::b=trace"]
        {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in
            ["nonsense", "sglang_scheduler", "info,", "a=loud", "=debug", "info debug", "a b=info", "7"]
        {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("SGLANG_LOG") && error.contains("TARGET=LEVEL"), "{error}");
        }
        let targets = read_filter("info,sglang_scheduler=debug").expect("a filter");
        assert!(targets.would_enable("sglang_scheduler::loop", &Level::DEBUG));
        assert!(!targets.would_enable("other", &Level::DEBUG) && targets.would_enable("other", &Level::INFO));
    }

    #[test]
    fn level_names_are_those_of_the_flag() {
        assert_eq!(level_filter("warning"), LevelFilter::WARN);
        assert_eq!(level_filter("critical"), LevelFilter::ERROR);
        assert_eq!(level_filter("debug"), LevelFilter::DEBUG);
    }
}
