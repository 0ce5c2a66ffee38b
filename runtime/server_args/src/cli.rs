//! The command line: a clap parser driven by the flag tables, and what ends a program before it starts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;
use serde_json::Value;

use super::exit::Exit;
use super::flags::flags;
use super::spec::{Default, FlagSpec, Kind, Support};
use super::value::{FlagValue, JsonObject};
use super::{ServerArgs, config, no_effect};

impl ServerArgs {
    /// Reads a command line whose first element is the program's name, and checks it.
    ///
    /// # Errors
    /// [`Exit`] for `--help`, `--version` and `--completions` (code 0), and for anything wrong (code 2): an unknown
    /// flag, a value that is not valid, a flag that is not supported yet, a `--config` file that cannot be read.
    pub fn parse_from<I, T>(argv: I) -> Result<Self, Exit>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
        let program = argv
            .first()
            .and_then(|p| Path::new(p).file_name())
            .and_then(|name| name.to_str())
            .unwrap_or("sglang-launch")
            .to_owned();
        let matches = command(&program)
            .try_get_matches_from(argv)
            .map_err(|e| Exit { text: e.render().to_string(), code: if e.use_stderr() { 2 } else { 0 } })?;
        if let Some(shell) = matches.get_one::<Shell>("completions") {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(&program), program, &mut script);
            return Err(Exit { text: String::from_utf8_lossy(&script).into_owned(), code: 0 });
        }
        Self::resolve(&typed(&matches)?)
    }

    /// Turns the texts that were typed, by field name, into checked arguments.
    fn resolve(typed: &BTreeMap<&'static str, Vec<String>>) -> Result<Self, Exit> {
        for flag in flags() {
            if let Some(texts) = typed.get(flag.field) {
                check_supported(flag, texts)?;
            } else if flag.default == Default::Required {
                return Err(Exit::usage(format!("--{} is required: {}", flag.long, flag.help)));
            }
        }
        let defaults: BTreeMap<_, _> = flags()
            .filter_map(|f| match f.default {
                Default::Is(text) => Some((f.field, vec![text.to_owned()])),
                Default::Required | Default::Unset => None,
            })
            .collect();
        let args = Self::build(
            |field| typed.get(field).or_else(|| defaults.get(field)).cloned(),
            |field, texts, why| match flags().find(|flag| flag.field == field) {
                Some(flag) => unreadable(flag, texts, why),
                None => Exit::usage(why),
            },
        )?
        .with_implied()
        .check()?;
        Ok(Self { without_effect: without_effect(typed)?, ..args })
    }
}

/// The error about a value that cannot be read. For a number it names the range in the flag's row, which says more than
/// the type does.
fn unreadable(flag: &FlagSpec, texts: &[String], why: String) -> Exit {
    let why = if matches!(flag.kind, Kind::Int | Kind::Float) { flag.expected() } else { why };
    Exit::bad_value(flag, &texts.join(" "), &why)
}

/// The texts from the command line and the config file, by field name. The command line wins.
fn typed(matches: &ArgMatches) -> Result<BTreeMap<&'static str, Vec<String>>, Exit> {
    let mut typed = match matches.get_one::<String>("config") {
        Some(path) => config::read(path)?,
        None => BTreeMap::new(),
    };
    for flag in flags() {
        if matches.value_source(flag.field) != Some(ValueSource::CommandLine) {
            continue;
        }
        let texts = match flag.kind {
            Kind::Switch => Vec::new(),
            _ => matches.get_many::<String>(flag.field).into_iter().flatten().cloned().collect(),
        };
        typed.insert(flag.field, texts);
    }
    Ok(typed)
}

/// Reads the values of the flags that have no effect.
fn without_effect(typed: &BTreeMap<&'static str, Vec<String>>) -> Result<JsonObject, Exit> {
    fn json<T: FlagValue>(texts: &[String]) -> Result<Value, String> {
        T::read(Some(texts)).map(|value| value.json())
    }
    let mut all = JsonObject::new();
    for flag in no_effect::FLAGS {
        let Some(texts) = typed.get(flag.field) else { continue };
        let value = match flag.kind {
            Kind::Switch => json::<bool>(texts),
            Kind::Int => json::<i64>(texts),
            Kind::Float => json::<f64>(texts),
            Kind::Text => json::<String>(texts),
            Kind::Json => json::<JsonObject>(texts),
            Kind::List => json::<Vec<String>>(texts),
        };
        let value = value.map_err(|why| unreadable(flag, texts, why))?;
        all.insert(flag.field.to_owned(), value);
    }
    Ok(all)
}

/// Refuses flags and values that this version knows but does not support.
fn check_supported(flag: &FlagSpec, texts: &[String]) -> Result<(), Exit> {
    let typed = texts.join(" ");
    let is_default = matches!(flag.default, Default::Is(default) if default == typed);
    if flag.support == Support::NotYet && !is_default {
        let space = if typed.is_empty() { "" } else { " " };
        let default = match flag.default {
            Default::Is(default) if !default.is_empty() => format!(" (its default is {default})"),
            _ => String::new(),
        };
        return Err(Exit::usage(format!(
            "--{}{space}{typed} is not supported yet by this version; leave it out{default}",
            flag.long
        )));
    }
    // The parser has not checked values from a config file.
    for value in texts.iter().map(String::as_str) {
        let choices = flag.choices.join(", ");
        if flag.choices_not_yet.contains(&value) {
            return Err(Exit::usage(format!(
                "--{} {value} is not supported yet by this version; what works is: {choices}",
                flag.long
            )));
        }
        if !flag.choices.is_empty() && !flag.choices.contains(&value) {
            return Err(Exit::bad_value(flag, value, &format!("expected one of: {choices}")));
        }
    }
    Ok(())
}

/// Builds the parser from the flag tables.
fn command(program: &str) -> Command {
    let named = |support: Support| {
        let names: Vec<String> =
            flags().filter(|f| f.support == support).map(|f| format!("--{}", f.long)).collect();
        names.join(" ")
    };
    // clap wants names that live as long as the program; there is one per run.
    let name: &'static str = match program {
        "sglang-scheduler" => "sglang-scheduler",
        "sglang-detokenizer" => "sglang-detokenizer",
        "sglang-tokenizer-manager" => "sglang-tokenizer-manager",
        _ => "sglang-launch",
    };
    let mut command = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves a language model through SGLang's and OpenAI's HTTP APIs.")
        .override_usage(format!("{name} --model-path <PATH> [OPTIONS]"))
        .after_help(format!(
            "Flags of SGLang that are accepted and change nothing: {}\n\nFlags of SGLang that are known and not \
             supported yet: {}",
            named(Support::NoEffect),
            named(Support::NotYet)
        ))
        .args_override_self(true)
        // A unique prefix is enough, as with argparse: `--tp 1` is `--tp-size 1`.
        .infer_long_args(true)
        .next_line_help(true)
        .max_term_width(110)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("YAML file with any of these flags; the command line wins."),
        )
        .arg(
            Arg::new("completions")
                .long("completions")
                .value_name("SHELL")
                .value_parser(clap::value_parser!(Shell))
                .help("Print a completion script for a shell."),
        );
    // The sort is stable, so flags keep their order within a heading that several tables share.
    let mut rows: Vec<&'static FlagSpec> = flags().collect();
    rows.sort_by_key(|f| f.group);
    for flag in rows {
        command = command.arg(argument(flag));
    }
    command
}

/// Builds the parser's argument for one flag.
fn argument(flag: &'static FlagSpec) -> Arg {
    let mut arg = Arg::new(flag.field)
        .long(flag.long)
        .visible_aliases(flag.aliases.iter().copied())
        .help_heading(flag.group.heading())
        .hide(flag.support != Support::Supported);
    arg = match flag.kind {
        Kind::Switch => return arg.action(ArgAction::SetTrue).help(flag.help),
        Kind::Int => arg.value_name("N").allow_negative_numbers(true),
        Kind::Float => arg.value_name("X").allow_negative_numbers(true),
        Kind::Json => arg.value_name("JSON"),
        Kind::List => arg.value_name("TEXT").num_args(1..).action(ArgAction::Append),
        Kind::Text => arg.value_name(text_value_name(flag)),
    };
    if !flag.choices.is_empty() {
        let later = flag.choices_not_yet.iter().map(|c| clap::builder::PossibleValue::new(*c).hide(true));
        let works = flag.choices.iter().map(|c| clap::builder::PossibleValue::new(*c));
        arg = arg.value_parser(PossibleValuesParser::new(works.chain(later)));
    }
    arg.help(help(flag))
}

/// The help text: what the flag does, its default and its range. The parser adds the choices.
fn help(flag: &FlagSpec) -> String {
    let mut help = flag.help.to_owned();
    if let Default::Is(text) = flag.default
        && !text.is_empty()
    {
        help.push_str(&format!(" [default: {text}]"));
    }
    let range = flag.range.to_string();
    if flag.choices.is_empty() && !range.is_empty() {
        help.push_str(&format!(" [valid: {range}]"));
    }
    help
}

/// The placeholder for the value of a text flag in `--help`.
fn text_value_name(flag: &FlagSpec) -> &'static str {
    match flag.long {
        "ipc-dir" => "DIR",
        "host" => "ADDRESS",
        name if name.ends_with("-path") => "PATH",
        name if name.ends_with("-key") => "KEY",
        _ if !flag.choices.is_empty() => "NAME",
        _ => "TEXT",
    }
}
