//! What a command line means, and what a person is told when it means nothing.
#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::Value;
use sglang_server_args::{
    DEFAULT_MEM_FRACTION_STATIC, Default, Exit, FlagSpec, JsonObject, Kind, ServerArgs, Support, check_chunk,
    check_range, flags, secrets,
};

fn parse(argv: &[&str]) -> Result<ServerArgs, Exit> {
    ServerArgs::parse_from(std::iter::once("sglang-launch").chain(argv.iter().copied()))
}

fn error(argv: &[&str]) -> String {
    let exit = parse(argv).expect_err("should be refused");
    assert_eq!(exit.code, 2, "{}", exit.text);
    exit.text
}

fn config(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[test]
fn defaults_are_those_of_the_reference() {
    let args = parse(&["--model-path", "m"]).expect("valid");
    assert_eq!((args.host.as_str(), args.port), ("127.0.0.1", 30000));
    assert_eq!((args.schedule_policy.as_str(), args.schedule_conservativeness), ("fcfs", 1.0));
    assert_eq!((args.max_prefill_tokens, args.page_size, args.stream_interval), (16384, 1, 1));
    assert_eq!((args.chunked_prefill_size, args.context_length, args.random_seed), (None, None, None));
    assert_eq!((args.decode_log_interval, args.watchdog_timeout), (40, 300.0));
    assert_eq!(args.served_model_name(), "m");
    assert_eq!(args.tokenizer_path(), "m");
    assert!(!args.disable_radix_cache);
}

#[test]
fn aliases_negative_numbers_and_repeats_are_read_as_argparse_reads_them() {
    let args =
        parse(&["--model", "a", "--chunked-prefill-size", "-1", "--port=1", "--port", "2"]).expect("valid");
    assert_eq!((args.model_path.as_str(), args.chunked_prefill_size, args.port), ("a", Some(-1), 2));
}

#[test]
fn an_unknown_flag_says_what_to_type_instead() {
    let text = error(&["--model-pth", "m"]);
    assert!(text.contains("--model-pth") && text.contains("--model-path"), "{text}");
}

#[test]
fn a_value_that_is_not_one_of_the_choices_lists_them() {
    let text = error(&["--model-path", "m", "--schedule-policy", "lpn"]);
    assert!(text.contains("--schedule-policy") && text.contains("lpm") && text.contains("fcfs"), "{text}");
}

#[test]
fn parsers_have_their_names_of_today_and_unknown_ones_list_what_works() {
    let stored = |flag: &str, name: &str| {
        let args = parse(&["--model-path", "m", flag, name]).expect("valid");
        args.tool_call_parser.or(args.reasoning_parser)
    };
    for (given, kept) in [("qwen25", "qwen"), ("glm45", "glm"), ("hermes", "hermes"), ("auto", "auto")] {
        assert_eq!(stored("--tool-call-parser", given).as_deref(), Some(kept));
    }
    assert_eq!(stored("--reasoning-parser", "glm45").as_deref(), Some("glm45"));
    let text = error(&["--model-path", "m", "--tool-call-parser", "nope"]);
    assert!(text.contains("nope") && text.contains("qwen3_coder") && text.contains("auto"), "{text}");
    let text = error(&["--model-path", "m", "--reasoning-parser", "nope"]);
    assert!(text.contains("nope") && text.contains("deepseek-r1") && text.contains("auto"), "{text}");
    // Known to the reference, and not here yet.
    let text = error(&["--model-path", "m", "--tool-call-parser", "minimax-m3"]);
    assert!(text.contains("not supported yet") && text.contains("hermes"), "{text}");
}

#[test]
fn values_out_of_range_name_their_flag_and_the_range() {
    for (flag, value, expected) in [
        ("--port", "70000", "from 0 to 65535"),
        ("--port", "http", "from 0 to 65535"),
        ("--mem-fraction-static", "1.5", "above 0 and below 1"),
        ("--mem-fraction-static", "nan", "a number"),
        ("--chunked-prefill-size", "0", "-1"),
        ("--chunked-prefill-size", "-2", "-1"),
        ("--page-size", "0", "1 or more"),
        ("--page-size", "-1", "expected a whole number, 1 or more"),
        ("--random-seed", "-1", "expected a whole number, 0 or more"),
        ("--http2-initial-connection-window-size", "1000", "a whole number from 1024 to 2147483647"),
        ("--expert-distribution-recorder-buffer-size", "0", "1 or more, or -1 to keep all steps"),
        ("--schedule-conservativeness", "0", "expected a number above 0"),
        ("--max-lora-rank", "0", "1 or more"),
        ("--stream-interval", "0", "1 or more"),
        ("--watchdog-timeout", "0", "above 0"),
        ("--preferred-sampling-params", "[1]", "a JSON object"),
        ("--json-model-override-args", "{", "a JSON object"),
        ("--api-key", "two words", "printable ASCII"),
        ("--admin-api-key", "", "printable ASCII"),
    ] {
        let text = error(&["--model-path", "m", flag, value]);
        assert!(text.contains(flag) && text.contains(expected), "{flag} {value}: {text}");
    }
    let text = error(&["--model-path", "m", "--page-size", "16", "--chunked-prefill-size", "24"]);
    assert!(text.contains("--chunked-prefill-size '24': expected a multiple of --page-size 16"), "{text}");
    assert!(error(&["--model-path", ""]).contains("--model-path '': expected a folder"));
}

#[test]
fn flags_for_https_need_their_files() {
    for (argv, expected) in [
        (&["--ssl-keyfile", "k"][..], "--ssl-keyfile 'k': needs --ssl-certfile"),
        (&["--ssl-certfile", "c"], "--ssl-certfile 'c': needs --ssl-keyfile"),
        (&["--ssl-ca-certs", "a"], "--ssl-ca-certs 'a': has no effect without --ssl-keyfile"),
        (&["--enable-ssl-refresh"], "--enable-ssl-refresh: has no effect without --ssl-keyfile"),
        (&["--ssl-keyfile-password", "geheim"], "--ssl-keyfile-password '…': has no effect"),
    ] {
        let text = error(&[&["--model-path", "m"], argv].concat());
        assert!(text.contains(expected) && !text.contains("geheim"), "{argv:?}: {text}");
    }
    assert!(parse(&["--model-path", "m", "--ssl-keyfile", "k", "--ssl-certfile", "c"]).is_ok());
    assert!(parse(&["--model-path", "m", "--ssl-keyfile", ""]).is_ok(), "an empty name is no file");
}

/// The part of `--help` about one flag.
fn help_of(long: &str) -> String {
    let help = parse(&["--help"]).expect_err("help").text;
    let names = |line: &str| line.trim_start().starts_with("--");
    let own = |line: &str| line.split_whitespace().next() == Some(&format!("--{long}"));
    let mut lines = help.lines().skip_while(|line| !own(line));
    let first = lines.next().expect("the flag is in the help");
    let rest = lines.take_while(|line| !names(line));
    let words = std::iter::once(first).chain(rest).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn help_says_what_is_valid() {
    let mut ranges = 0;
    for flag in flags().filter(|flag| flag.support == Support::Supported) {
        let (help, range) = (help_of(flag.long), flag.range.to_string());
        let numeric = matches!(flag.kind, Kind::Int | Kind::Float) && flag.choices.is_empty();
        if numeric && !range.is_empty() {
            assert!(help.contains(&format!("[valid: {range}]")), "{help}");
            ranges += 1;
        }
        assert!(flag.choices.iter().all(|choice| help.contains(choice)), "{help}");
    }
    assert!(ranges > 15, "{ranges}");
    // Every decimal number and nearly every whole one has limits.
    let free = |flag: &&FlagSpec| flag.kind == Kind::Float && flag.range.to_string().is_empty();
    let free: Vec<_> = flags().filter(|flag| flag.support == Support::Supported).filter(free).collect();
    assert!(free.is_empty(), "{free:?}");
    let chunk = help_of("chunked-prefill-size");
    assert!(chunk.contains("[valid: 1 or more, or -1 to put a whole prompt into one step]"), "{chunk}");
    assert!(help_of("port").ends_with("[default: 30000] [valid: from 0 to 65535]"));
    assert!(help_of("api-key").contains("[valid: printable ASCII characters without spaces]"));
    let fraction = help_of("mem-fraction-static");
    assert!(fraction.contains(&format!("Default: {DEFAULT_MEM_FRACTION_STATIC}.")), "{fraction}");
}

#[test]
fn a_value_that_was_worked_out_is_checked_by_its_flag() {
    assert_eq!(check_range("page-size", 0), Err("expected a whole number, 1 or more".to_owned()));
    assert_eq!((check_range("page-size", 1), check_range("watchdog-timeout", 0.5)), (Ok(()), Ok(())));
    assert!(check_chunk(48, 16).is_ok() && check_chunk(40, 16).is_err());
}

#[test]
fn keys_and_passwords_are_secret() {
    assert!(secrets().eq(["ssl_keyfile_password", "api_key", "admin_api_key"]));
    let text = error(&["--model-path", "m", "--api-key", "two words"]);
    assert!(text.contains("--api-key '…'") && !text.contains("two words"), "{text}");
}

#[test]
fn an_empty_host_means_all_interfaces() {
    assert_eq!(parse(&["--model-path", "m", "--host", ""]).expect("valid").host, "");
}

#[test]
fn the_model_is_required() {
    assert!(error(&[]).contains("--model-path is required"));
}

#[test]
fn flags_not_supported_yet_are_refused_by_name_unless_they_ask_for_the_default() {
    assert!(error(&["--model-path", "m", "--tp-size", "2"]).contains("--tp-size 2 is not supported yet"));
    assert!(error(&["--model-path", "m", "--tensor-parallel-size", "2"]).contains("not supported yet"));
    assert!(
        error(&["--model-path", "m", "--enable-multimodal"])
            .contains("--enable-multimodal is not supported yet")
    );
    assert!(error(&["--model-path", "m", "--kv-cache-dtype", "fp8_e5m2"]).contains("what works is: auto"));
    assert!(parse(&["--model-path", "m", "--tp-size", "1", "--max-loras-per-batch", "8"]).is_ok());
}

#[test]
fn a_config_file_gives_flags_and_the_command_line_wins() {
    let file = config(
        "model-path: /models/m\nport: 1234\ndisable_radix_cache: true\nskip-server-warmup: false\n\
         preferred-sampling-params: {temperature: 0.5}\nschedule-policy: lpm\n",
    );
    let path = file.path().to_str().expect("utf-8");
    let args = parse(&["--config", path, "--port", "4321"]).expect("valid");
    assert_eq!(
        (args.model_path.as_str(), args.port, args.schedule_policy.as_str()),
        ("/models/m", 4321, "lpm")
    );
    assert!(args.disable_radix_cache && !args.skip_server_warmup);
    let preferred = args.preferred_sampling_params.expect("given");
    assert_eq!(preferred.get("temperature"), Some(&serde_json::json!(0.5)));
}

#[test]
fn a_config_file_is_checked_like_the_command_line() {
    for (text, expected) in [
        ("model-path: m\nprot: 1", "did you mean `port`"),
        ("model-path: m\nschedule-policy: best", "lpm"),
        ("model-path: m\nport: [1, 2]", "single value"),
        ("model-path: m\npage-size: 0", "--page-size '0': expected a whole number, 1 or more"),
        (
            "model-path: m\nlora-paths: [a]\nlora-target-modules: [q_proj, router]",
            "'router': expected one of: all",
        ),
        ("model-path: m\nlog-requests: maybe", "true or false"),
        ("model-path: m\ntp-size: 4", "--tp-size 4 is not supported yet"),
        ("- a\n- b", "port: 30000"),
        ("model-path: 'm", "not YAML"),
    ] {
        let file = config(text);
        let message = error(&["--config", file.path().to_str().expect("utf-8")]);
        assert!(message.contains(expected), "{text}: {message}");
    }
    assert!(error(&["--config", "/nonexistent.yaml"]).contains("/nonexistent.yaml"));
}

#[test]
fn help_version_and_completions_end_with_code_0() {
    let help = parse(&["--help"]).expect_err("help");
    assert_eq!(help.code, 0);
    for heading in ["Model and tokenizer:", "Memory and scheduling:", "Logging, metrics and tracing:"] {
        assert!(help.text.contains(heading), "{heading}");
    }
    assert!(!help.text.contains("Multimodal:"), "a heading without a supported flag is left out");
    assert!(help.text.contains("--enable-multimodal"), "flags not supported yet are named at the end");
    assert_eq!(parse(&["--version"]).expect_err("version").code, 0);
    for shell in ["bash", "zsh", "fish"] {
        let script = parse(&["--completions", shell]).expect_err("script");
        assert_eq!(script.code, 0);
        assert!(script.text.contains("chunked-prefill-size"), "{shell}");
    }
}

#[test]
fn adapters_turn_lora_on_and_their_limits_are_checked() {
    let with = |more: &[&str]| parse(&[&["--model-path", "m"], more].concat());
    let json = r#"{"lora_name": "c", "lora_path": "/c", "pinned": true}"#;
    let args = with(&["--lora-paths", "a=/a", "/b", json]).expect("valid");
    let names: Vec<_> =
        args.lora_refs().iter().map(|l| (l.name().to_owned(), l.path().to_owned(), l.is_pinned())).collect();
    let expected = [("a", "/a", false), ("/b", "/b", false), ("c", "/c", true)];
    assert_eq!(names, expected.map(|(name, path, pinned)| (name.to_owned(), path.to_owned(), pinned)));
    assert!(args.enable_lora && !with(&[]).expect("valid").enable_lora);
    let limits = ["--max-lora-rank", "8", "--lora-target-modules", "q_proj", "down_proj"];
    assert!(with(&[&["--enable-lora"], &limits[..]].concat()).is_ok());
    let file = config("model-path: m\nlora-paths: [{lora_name: a, lora_path: /a}, b=/b]\n");
    let from_file = parse(&["--config", file.path().to_str().expect("utf-8")]).expect("valid");
    assert_eq!(from_file.lora_refs().len(), 2);
    for (more, expected) in [
        (&["--enable-lora"][..], "you need to specify both --max-lora-rank and --lora-target-modules"),
        (&["--lora-paths", "{\"lora_name\": \"a\"}"], "'lora_path'"),
        (&["--lora-paths", "a=x", "a=y"], "two adapters have the name a"),
        (&["--lora-paths", "a", "--max-loaded-loras", "7"], "greater than or equal to max_loras_per_batch"),
        (&["--lora-paths", "a", "--lora-target-modules", "router"], "q_proj"),
        (&["--lora-paths", "a", "--lora-target-modules", "all", "q_proj"], "only module"),
        (&["--lora-paths", "a", "--lora-eviction-policy", "mru"], "lru"),
        (
            &["--lora-paths", "a", "b", "--max-loras-per-batch", "1", "--max-loaded-loras", "1"],
            "exceed max_loaded_loras",
        ),
        (&["--lora-paths", json, "--max-loras-per-batch", "1"], "pin all slots"),
    ] {
        let text = error(&[&["--model-path", "m"], more].concat());
        assert!(text.contains(expected), "{more:?}: {text}");
    }
}

#[test]
fn every_argument_is_in_the_json_by_its_field_name() {
    let args =
        parse(&["--model-path", "m", "--api-key", "secret", "--max-running-requests", "7"]).expect("valid");
    let json = args.to_json();
    // What the launcher tells its processes is not the reference's.
    let own = ["model_files", "tokenizer_files"];
    for flag in flags() {
        assert_eq!(json.contains_key(flag.field), !own.contains(&flag.field), "{}", flag.field);
    }
    assert_eq!(json["served_model_name"], "m");
    assert_eq!(json["max_running_requests"], 7);
    assert_eq!(json["api_key"], "secret");
    assert_eq!(json["tp_size"], 1);
    assert_eq!(json["hicache_ratio"], 2.0);
    assert_eq!(json["enable_lora"], false);
}

/// What the reference answered to `/get_server_info`.
fn recorded() -> JsonObject {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/generate.json");
    let text = std::fs::read_to_string(path).expect("the recording");
    let exchanges: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let exchange = exchanges.iter().find(|e| e["name"] == "info-get_server_info").expect("the exchange");
    let body = exchange["response_body"].as_str().expect("text");
    serde_json::from_str(body).expect("an object")
}

#[test]
fn every_argument_of_the_reference_is_in_the_json_in_its_order_and_kind() {
    // What the tokenizer manager adds.
    const ADDED: [&str; 10] = [
        "launch_command",
        "status",
        "max_total_num_tokens",
        "max_req_input_len",
        "startup_time",
        "hicache_object_layout",
        "kv_events",
        "internal_states",
        "version",
        "frontend",
    ];
    // Chosen when the model is loaded, or, as a switch, off where the reference says null.
    const LATER: [&str; 2] = ["chunked_prefill_size", "enable_lora"];
    let argv = ["--model-path", "m", "--context-length", "4096", "--max-total-tokens", "32768"];
    let more = ["--max-running-requests", "16", "--enable-metrics", "--random-seed", "1"];
    let ours = parse(&[&argv[..], &more].concat()).expect("valid").to_json();
    let theirs = recorded();
    let names: Vec<&String> = theirs.keys().filter(|name| !ADDED.contains(&name.as_str())).collect();
    assert!(names.len() > 500);
    assert!(ours.keys().take(names.len()).eq(names.iter().copied()), "order or names differ");
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    for name in names.into_iter().filter(|name| !LATER.contains(&name.as_str())) {
        let (ours, theirs) = (&ours[name], &theirs[name]);
        assert_eq!(kind(ours), kind(theirs), "{name}: {ours} and {theirs}");
    }
}

#[test]
fn a_flag_may_be_cut_short_where_only_one_begins_so() {
    let args =
        parse(&["--model", "m", "--tp", "1", "--mem-frac", "0.5", "--chunked-prefill=64"]).expect("valid");
    assert_eq!((args.model_path.as_str(), args.chunked_prefill_size), ("m", Some(64)));
    assert_eq!(args.mem_fraction_static, Some(0.5));
    assert!(error(&["--model", "m", "--tp", "2"]).contains("--tp-size 2 is not supported yet"));
    assert!(error(&["--model", "m", "--max", "2"]).contains("unexpected argument '--max'"));
}

#[test]
fn flags_that_tune_what_is_not_here_are_accepted_and_change_nothing() {
    let given = [
        "--cuda-graph-max-bs",
        "8",
        "--cuda-graph-bs",
        "1",
        "2",
        "--enable-torch-compile",
        "--sampling-backend",
        "pytorch",
        "--gc-threshold",
        "700",
        "--disable-custom-all-reduce",
        "--grammar-backend",
        "xgrammar",
        "--model-loader-extra-config",
        r#"{"enable_multithread_load": true}"#,
        "--swa-full-tokens-ratio",
        "0.5",
    ];
    let args = parse(&[&["--model-path", "m"], &given[..]].concat()).expect("valid");
    let plain = parse(&["--model-path", "m", "--grammar-backend", "xgrammar"]).expect("valid");
    assert_eq!(args.without_effect["cuda_graph_max_bs_decode"], 8);
    assert_eq!(args.without_effect.len(), 8);
    let json = args.to_json();
    assert_eq!((&json["sampling_backend"], &json["swa_full_tokens_ratio"]), (&"pytorch".into(), &0.5.into()));
    assert_eq!(json["cuda_graph_bs_decode"], serde_json::json!(["1", "2"]));
    assert_eq!(ServerArgs { without_effect: JsonObject::new(), ..args }, plain);
    assert!(
        error(&["--model-path", "m", "--torch-compile-max-bs", "many"]).contains("expected a whole number")
    );
    let help = parse(&["--help"]).expect_err("help").text;
    assert!(help.contains("accepted and change nothing: --tokenizer-backend"));
}

#[test]
fn the_tables_are_consistent() {
    let mut names = BTreeSet::new();
    for flag in flags() {
        assert!(names.insert(flag.long), "--{} is defined twice", flag.long);
        assert!(flag.aliases.iter().all(|alias| names.insert(alias)), "an alias of --{} is taken", flag.long);
        assert_eq!(flag.field, flag.long.replace('-', "_"), "--{}", flag.long);
        assert!(flag.help.ends_with('.') && !flag.help.contains('\n'), "--{}", flag.long);
        if let Default::Is(text) = flag.default {
            assert!(flag.choices.is_empty() || flag.choices.contains(&text), "--{}", flag.long);
            if flag.kind == Kind::Int {
                assert!(text.parse::<i64>().is_ok(), "--{}", flag.long);
            }
        }
        assert!(flag.default != Default::Required || flag.support == Support::Supported);
    }
    assert!(names.len() > 150, "{}", names.len());
}

#[test]
fn parsing_takes_a_few_milliseconds_at_most() {
    let argv = ["--model-path", "m", "--port", "1", "--log-level", "debug"];
    parse(&argv).expect("valid");
    let fastest = (0..10)
        .map(|_| {
            let start = std::time::Instant::now();
            parse(&argv).expect("valid");
            start.elapsed()
        })
        .min()
        .expect("ten runs");
    println!("fastest parse: {fastest:?}");
    assert!(fastest < std::time::Duration::from_millis(10), "{fastest:?}");
}
