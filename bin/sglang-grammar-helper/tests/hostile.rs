//! Grammars that overflow the stack, take gigabytes or never end cost one helper and nothing else.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sglang_constrained::{
    CompileResult, CompilerConfig, GrammarCompiler, GrammarError, GrammarSpec, TokenEnvironment,
};

const EOS: u32 = 256;

/// One token per byte, and an end-of-sequence token.
fn environment() -> TokenEnvironment {
    let bytes = (0..256).map(|id| (id, vec![id as u8], false)).chain([(EOS, b"</s>".to_vec(), true)]);
    TokenEnvironment::new(bytes, 257, &[EOS]).expect("a vocabulary")
}

fn compiler(config: CompilerConfig) -> GrammarCompiler {
    let helper = config.helper.or_else(|| Some(PathBuf::from(env!("CARGO_BIN_EXE_sglang-grammar-helper"))));
    GrammarCompiler::new(environment(), CompilerConfig { helper, ..config }).expect("a compiler")
}

fn one_thread() -> CompilerConfig {
    CompilerConfig { workers: 1, ..Default::default() }
}

fn works(compiler: &GrammarCompiler, digits: usize) {
    let spec = GrammarSpec::Regex(format!("[0-9]{{{digits}}}"));
    compiler.compile(spec).wait().expect("an ordinary grammar compiles");
}

/// The current helpers of this process.
fn helpers() -> Vec<Pid> {
    let own = std::process::id();
    let children = std::fs::read_dir("/proc/self/task").expect("threads").flatten().flat_map(|thread| {
        let list = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    let children: Vec<Pid> = children.map(Pid::from_raw).collect();
    assert!(children.iter().all(|pid| pid.as_raw() != own as i32));
    children
}

/// Waits until there are at most `most` helpers.
fn until_helpers(most: usize) {
    let began = Instant::now();
    while helpers().len() > most {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?} are too many", helpers());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Peak memory of this process in megabytes.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
}

fn chained_rules(rules: usize) -> GrammarSpec {
    let mut text = String::from("root ::= x0\n");
    for i in 0..rules {
        text += &format!("x{i} ::= \"(\" x{} \")\"\n", i + 1);
    }
    GrammarSpec::Ebnf(text + &format!("x{rules} ::= \"a\"\n"))
}

fn mutual_rules(rules: usize) -> GrammarSpec {
    let mut text = String::from("root ::= x0\n");
    for i in 0..rules {
        text += &format!("x{i} ::= x{} | \"(\" x0 \")\"\n", (i + 1) % rules);
    }
    GrammarSpec::Ebnf(text)
}

fn chained_references(definitions: usize) -> GrammarSpec {
    let mut text = String::from(r##"{"$ref": "#/$defs/d0", "$defs": {"##);
    for i in 0..definitions {
        text += &format!(
            r##""d{i}": {{"type": "object", "properties": {{"p": {{"$ref": "#/$defs/d{}"}}}}, "required": ["p"]}}, "##,
            i + 1
        );
    }
    GrammarSpec::JsonSchema(text + &format!(r#""d{definitions}": {{"type": "integer"}}}}}}"#))
}

fn refused(result: CompileResult, what: &str) {
    match result {
        Err(GrammarError::Invalid { .. } | GrammarError::TimedOut { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_hostile_grammar_is_refused_in_time_and_the_next_one_compiles() {
    let compiler = compiler(CompilerConfig { timeout: Duration::from_secs(5), ..one_thread() });
    works(&compiler, 1);
    let before = peak_megabytes();
    let cases = [
        ("a chain of rules", chained_rules(11_300)),
        ("rules that call each other", mutual_rules(11_300)),
        ("a chain of references", chained_references(7_500)),
        ("50,000 optional letters", GrammarSpec::Regex("a?".repeat(50_000))),
        ("products", GrammarSpec::Regex("(a{0,99}b{0,99}){0,99}".repeat(200))),
    ];
    for (i, (what, spec)) in cases.into_iter().enumerate() {
        let began = Instant::now();
        // The library may be able to compile it; what matters is that nothing else is affected.
        if let Err(error) = compiler.compile(spec).wait() {
            refused(Err(error), what);
        }
        assert!(began.elapsed() < Duration::from_secs(8), "{what}: {:?}", began.elapsed());
        works(&compiler, 10 + i);
        // A killed helper takes a moment to disappear.
        until_helpers(1);
    }
    // Everything that this process compiles was tried and takes little memory.
    assert!(peak_megabytes() < before + 700, "{before} MB before, {} MB after", peak_megabytes());
}

#[test]
fn a_helper_that_dies_or_stops_is_replaced() {
    let compiler = compiler(CompilerConfig { timeout: Duration::from_secs(2), ..one_thread() });
    works(&compiler, 1);
    let [first] = helpers()[..] else { panic!("{:?}", helpers()) };
    kill(first, Signal::SIGKILL).expect("killed");
    works(&compiler, 2);
    let [second] = helpers()[..] else { panic!("{:?}", helpers()) };
    assert_ne!(first, second);
    kill(second, Signal::SIGSTOP).expect("stopped");
    let late = compiler.compile(GrammarSpec::Regex("late".into())).wait();
    assert!(matches!(late, Err(GrammarError::TimedOut { .. })), "{late:?}");
    works(&compiler, 3);
    assert_eq!(helpers().len(), 1);
    drop(compiler);
    until_helpers(0);
}

#[test]
fn the_helper_gives_the_compilers_own_words() {
    let with = compiler(one_thread());
    let without = GrammarCompiler::new(environment(), one_thread()).expect("a compiler");
    let specs = [
        GrammarSpec::Regex("(a".into()),
        GrammarSpec::Ebnf("root ::= nowhere".into()),
        GrammarSpec::JsonSchema(r#"{"type": "no such type"}"#.into()),
        GrammarSpec::StructuralTag("{".into()),
    ];
    for spec in specs {
        let [with, without] = [&with, &without].map(|c| c.compile(spec.clone()).wait().expect_err("wrong"));
        assert_eq!(with, without);
    }
}

#[test]
fn without_the_program_grammars_are_refused_for_now() {
    let helper = Some(PathBuf::from("/nowhere/sglang-grammar-helper"));
    let compiler = compiler(CompilerConfig { helper, ..one_thread() });
    for _ in 0..2 {
        let result = compiler.compile(GrammarSpec::Regex("a".into())).wait();
        assert!(matches!(result, Err(GrammarError::Unavailable { .. })), "{result:?}");
    }
    assert_eq!(compiler.stats().cached, 0, "it is tried again");
}
