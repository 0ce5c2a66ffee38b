//! Fetches models from a test server with the hub's API: which files and requests, and what happens on failures.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use sglang_hub::{Hub, HubError, HubReference, HubSettings, Part, Progress, Silent};
use sglang_test_hub::{Fault, Request, TestHub, TestRepo};

struct Setup {
    hub: TestHub,
    cache: tempfile::TempDir,
    settings: HubSettings,
}

/// A hub with `org/model` (two shards, an index, and files that are not needed) and an empty cache.
fn setup() -> Setup {
    let hub = TestHub::start().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let settings = HubSettings {
        endpoint: hub.endpoint(),
        token: None,
        cache: cache.path().join("hub"),
        offline: false,
        api_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(500),
        retry_delay: Duration::from_millis(5),
        progress: false,
    };
    hub.add(model());
    Setup { hub, cache, settings }
}

fn shard(seed: usize) -> Vec<u8> {
    (0..300_000_usize).map(|i| (i * 7 + seed + i / 251) as u8).collect()
}

fn model() -> TestRepo {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    TestRepo::new("org/model")
        .with("README.md", "no")
        .with("config.json", "{}")
        .with("tokenizer.json", "x".repeat(5000))
        .with("pytorch_model.bin", "no".repeat(5000))
        .with("original/consolidated.00.pth", "no".repeat(5000))
        .with("model.safetensors.index.json", index)
        .with("model-00001-of-00002.safetensors", shard(1))
        .with("model-00002-of-00002.safetensors", shard(2))
}

impl Setup {
    fn get(
        &self,
        text: &str,
        revision: Option<&str>,
        change: impl Fn(&mut HubSettings),
    ) -> Result<PathBuf, HubError> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        let part = Part::Model { load_format: "auto".to_owned() };
        Hub::new(settings).fetch(&HubReference::parse(text).unwrap(), revision, &part, &Silent)
    }

    fn fetch(&self, text: &str) -> Result<PathBuf, HubError> {
        self.get(text, None, |_| {})
    }

    /// Paths of the requests for files, in order.
    fn files_asked_for(&self) -> Vec<String> {
        let to_storage = |r: &Request| r.to_storage || r.path.contains("/resolve/");
        self.hub.requests().into_iter().filter(to_storage).map(|r| r.path).collect()
    }
}

fn files_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn one_line(error: &HubError) -> String {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn only_what_is_needed_is_fetched_and_never_twice() {
    let s = setup();
    let folder = s.fetch("org/model").unwrap();
    let expected = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ];
    assert_eq!(files_of(&folder), expected);
    assert_eq!(std::fs::read(folder.join("model-00002-of-00002.safetensors")).unwrap(), shard(2));
    assert!(folder.ends_with(format!("models--org--model/snapshots/{}", model().commit)));
    let reference = s.cache.path().join("hub/models--org--model/refs/main");
    assert_eq!(std::fs::read_to_string(reference).unwrap(), model().commit);

    s.hub.forget_requests();
    assert_eq!(s.fetch("org/model").unwrap(), folder);
    assert_eq!(s.hub.requests().len(), 1, "only the commit is asked for: {:?}", s.hub.requests());
    s.hub.forget_requests();
    assert_eq!(s.get("org/model", Some(&model().commit), |_| {}).unwrap(), folder);
    assert_eq!(s.hub.requests(), [], "a commit never changes");
}

#[test]
fn a_new_commit_brings_only_what_has_changed() {
    let s = setup();
    let old = s.fetch("org/model").unwrap();
    s.hub.add(model().with("generation_config.json", "{\"top_k\": 1}"));
    s.hub.forget_requests();
    let new = s.fetch("org/model").unwrap();
    assert_ne!(old, new);
    assert_eq!(s.files_asked_for().len(), 1, "{:?}", s.files_asked_for());
    assert_eq!(files_of(&new).len(), 6);
    assert_eq!(std::fs::read(new.join("model-00001-of-00002.safetensors")).unwrap(), shard(1));
}

#[test]
fn a_broken_download_resumes_where_it_stopped() {
    let s = setup();
    let name = "model-00001-of-00002.safetensors";
    s.hub.fail(name, Fault { break_after: Some(100_000), times: 1, ..Fault::default() });
    s.hub.fail(name, Fault { break_after: Some(50_000), times: 1, ..Fault::default() });
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(std::fs::read(folder.join(name)).unwrap(), shard(1));
    let starts: Vec<Option<usize>> = s
        .hub
        .requests()
        .into_iter()
        .filter(|r| r.to_storage && r.path.ends_with(name))
        .map(|r| r.from)
        .collect();
    assert_eq!(starts, [None, Some(100_000), Some(150_000)]);
}

#[test]
fn a_stalled_download_is_retried() {
    let s = setup();
    s.hub.fail("tokenizer.json", Fault { stall_after: Some(1000), times: 1, ..Fault::default() });
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(std::fs::read(folder.join("tokenizer.json")).unwrap(), "x".repeat(5000).into_bytes());
}

#[test]
fn a_later_run_resumes_where_an_earlier_one_stopped() {
    let s = setup();
    let name = "model-00002-of-00002.safetensors";
    let always = Fault { break_after: Some(0), times: 100, ..Fault::default() };
    s.hub.fail(name, Fault { break_after: Some(70_000), times: 1, ..Fault::default() });
    s.hub.fail(name, always);
    let text = one_line(&s.fetch("org/model").unwrap_err());
    assert!(
        text.contains(name) && text.contains("70000 of 300000 bytes") && text.contains("start again"),
        "{text}"
    );

    let healthy = TestHub::start().unwrap();
    healthy.add(model());
    let folder = s.get("org/model", None, |settings| settings.endpoint = healthy.endpoint()).unwrap();
    assert_eq!(std::fs::read(folder.join(name)).unwrap(), shard(2));
    let resumed = healthy.requests().into_iter().find(|r| r.to_storage && r.path.ends_with(name)).unwrap();
    assert_eq!(resumed.from, Some(70_000));
}

#[test]
fn a_server_without_ranges_sends_the_file_again_and_it_is_not_corrupted() {
    let s = setup();
    s.hub.ignore_ranges();
    let name = "model-00001-of-00002.safetensors";
    s.hub.fail(name, Fault { break_after: Some(100_000), times: 1, ..Fault::default() });
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(std::fs::read(folder.join(name)).unwrap(), shard(1));
}

#[test]
fn partial_files_of_other_files_are_discarded() {
    let s = setup();
    let blobs = s.cache.path().join("hub/models--org--model/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let name = "model-00001-of-00002.safetensors";
    let folder = s.fetch("org/model").unwrap();
    let blob = std::fs::canonicalize(folder.join(name)).unwrap();
    std::fs::remove_file(&blob).unwrap();
    std::fs::remove_file(folder.join(name)).unwrap();
    std::fs::write(format!("{}.incomplete", blob.display()), vec![1; 400_000]).unwrap();
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(std::fs::read(folder.join(name)).unwrap(), shard(1));
}

#[test]
fn temporary_errors_of_the_hub_are_retried() {
    let s = setup();
    s.hub.fail("", Fault { status: Some(503), times: 2, ..Fault::default() });
    s.hub.fail("config.json", Fault { status: Some(429), times: 2, ..Fault::default() });
    assert_eq!(files_of(&s.fetch("org/model").unwrap()).len(), 5);
}

#[test]
fn offline_the_cache_is_used_whole_or_not_at_all() {
    let s = setup();
    let offline = |settings: &mut HubSettings| settings.offline = true;
    let text = one_line(&s.get("org/model", None, offline).unwrap_err());
    assert!(text.contains("HF_HUB_OFFLINE") && text.contains("does not have its revision main"), "{text}");
    let folder = s.fetch("org/model").unwrap();
    s.hub.forget_requests();
    assert_eq!(s.get("org/model", None, offline).unwrap(), folder);
    assert_eq!(s.get("org/model", Some(&model().commit), offline).unwrap(), folder);
    assert_eq!(s.hub.requests(), []);
    std::fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    let text = one_line(&s.get("org/model", None, offline).unwrap_err());
    assert!(text.contains("lacks model-00002-of-00002.safetensors"), "{text}");
}

#[test]
fn a_hub_that_cannot_be_reached_is_replaced_by_the_cache() {
    let s = setup();
    let gone = |settings: &mut HubSettings| settings.endpoint = "http://127.0.0.1:9".to_owned();
    let text = one_line(&s.get("org/model", None, gone).unwrap_err());
    assert!(text.starts_with("org/model: http://127.0.0.1:9 cannot be reached ("), "{text}");
    assert!(text.contains("does not have its revision main"), "{text}");
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(s.get("org/model", None, gone).unwrap(), folder);
    // The cache also serves if the repository was removed or the token has expired.
    assert_eq!(s.get("org/model", None, |s| s.token = Some("bad".to_owned())).unwrap(), folder);
}

#[test]
fn missing_repositories_and_files_are_named_with_a_hint() {
    let s = setup();
    let text = one_line(&s.fetch("org/nothing").unwrap_err());
    assert!(
        text.starts_with("org/nothing: no such folder here, and no such repository on http://127"),
        "{text}"
    );
    assert!(text.contains("HF_TOKEN"), "{text}");
    let with_token = |settings: &mut HubSettings| settings.token = Some("hf_mine".to_owned());
    let error = s.get("org/nothing", None, with_token).unwrap_err();
    assert!(matches!(error, HubError::RepositoryNotFound { with_token: true, .. }), "{error}");
    let text = one_line(&s.get("org/model", Some("v9"), |_| {}).unwrap_err());
    assert!(
        text.contains("org/model: no branch, tag or commit `v9`") && text.contains("--revision"),
        "{text}"
    );
    s.hub.add(TestRepo::new("org/old").with("config.json", "{}").with("pytorch_model.bin", "x"));
    let text = one_line(&s.fetch("org/old").unwrap_err());
    assert!(text.contains("model.safetensors") && text.contains("only pytorch_model.bin"), "{text}");
    let broken = r#"{"weight_map": {"a": "lost.safetensors"}}"#;
    s.hub.add(
        TestRepo::new("org/broken").with("config.json", "{}").with("model.safetensors.index.json", broken),
    );
    let text = one_line(&s.fetch("org/broken").unwrap_err());
    assert!(text.contains("names lost.safetensors"), "{text}");
}

#[test]
fn private_and_gated_repositories_want_the_right_token() {
    let s = setup();
    let named = |name: &str| TestRepo { name: name.to_owned(), ..model() };
    s.hub.add(TestRepo { private_to: Some("hf_a".to_owned()), ..named("org/private") });
    s.hub.add(TestRepo { gated_to: Some("hf_a".to_owned()), ..named("org/gated") });
    let with = |token: &str| {
        let token = token.to_owned();
        move |settings: &mut HubSettings| settings.token = Some(token.clone())
    };
    assert!(matches!(s.fetch("org/private").unwrap_err(), HubError::RepositoryNotFound { .. }));
    let text = one_line(&s.fetch("org/gated").unwrap_err());
    assert!(text.contains("gated") && text.contains("set HF_TOKEN"), "{text}");
    let text = one_line(&s.get("org/gated", None, with("hf_b")).unwrap_err());
    assert!(text.contains("gated") && text.contains("the token in use"), "{text}");
    let text = one_line(&s.get("org/gated", None, with("bad")).unwrap_err());
    assert!(text.contains("refuses the token"), "{text}");
    for name in ["org/private", "org/gated"] {
        s.get(name, None, with("hf_a")).unwrap();
    }
    let leaked = s.hub.requests().into_iter().filter(|r| r.to_storage && r.token.is_some()).count();
    assert_eq!(leaked, 0, "the storage server must not see the token");
}

#[test]
fn a_renamed_repository_and_another_branch_are_found() {
    let s = setup();
    s.hub.add(TestRepo {
        old_name: Some("old/name".to_owned()),
        revisions: vec!["refs/pr/3".to_owned()],
        ..model()
    });
    let folder = s.get("old/name", Some("refs/pr/3"), |_| {}).unwrap();
    assert_eq!(files_of(&folder).len(), 5);
    let reference = s.cache.path().join("hub/models--old--name/refs/refs/pr/3");
    assert_eq!(std::fs::read_to_string(reference).unwrap(), model().commit);
}

#[test]
fn a_list_without_contents_is_completed_from_headers() {
    let s = setup();
    s.hub.hide_blobs();
    let folder = s.fetch("org/model").unwrap();
    assert_eq!(std::fs::read(folder.join("model-00001-of-00002.safetensors")).unwrap(), shard(1));
    let heads = s.hub.requests().into_iter().filter(|r| r.method == "HEAD").count();
    assert_eq!(heads, 5);
    let blob = std::fs::read_link(folder.join("model-00001-of-00002.safetensors")).unwrap();
    assert_eq!(blob.file_name().unwrap().len(), 64, "the name of the content, not of the redirect");
}

#[test]
fn one_gguf_file_of_a_repository_is_fetched() {
    let s = setup();
    let gguf = |name: &str| format!("{name}-").repeat(500);
    s.hub.add(
        TestRepo::new("org/gguf")
            .with("m-Q2_K.gguf", gguf("q2"))
            .with("m-Q4_K_M.gguf", gguf("q4"))
            .with("mmproj-m-f16.gguf", gguf("mm"))
            .with("config.json", "{}"),
    );
    for (text, name, content) in [
        ("org/gguf", "m-Q4_K_M.gguf", "q4"),
        ("org/gguf:q2_k", "m-Q2_K.gguf", "q2"),
        ("org/gguf:m-Q2_K.gguf", "m-Q2_K.gguf", "q2"),
        ("org/gguf/m-Q2_K.gguf", "m-Q2_K.gguf", "q2"),
    ] {
        let file = s.fetch(text).unwrap();
        assert_eq!(file.file_name().unwrap(), name, "{text}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), gguf(content));
    }
    let text = one_line(&s.fetch("org/gguf:Q8_0").unwrap_err());
    assert!(text.contains("no GGUF of Q8_0; the repository has m-Q2_K.gguf, m-Q4_K_M.gguf"), "{text}");
    assert!(s.files_asked_for().iter().all(|f| !f.contains("mmproj") && !f.contains("config.json")));
}

#[test]
fn two_processes_share_one_download() {
    let s = setup();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| s.fetch("org/model").unwrap())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(results.windows(2).all(|w| w[0] == w[1]));
    let asked = s.files_asked_for();
    let shards =
        asked.iter().filter(|f| f.ends_with("model-00001-of-00002.safetensors") && !f.contains("resolve"));
    assert_eq!(shards.count(), 1, "{asked:?}");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let s = setup();
    std::fs::write(s.cache.path().join("hub"), "a file").unwrap();
    let text = one_line(&s.fetch("org/model").unwrap_err());
    assert!(text.contains(s.cache.path().to_str().unwrap()), "{text}");
}

#[derive(Default)]
struct Counting(Mutex<(usize, u64, i64, Vec<String>)>);

impl Progress for Counting {
    fn expect(&self, files: usize, bytes: u64) {
        let mut state = self.0.lock().unwrap();
        (state.0, state.1) = (state.0 + files, state.1 + bytes);
    }

    fn advance(&self, bytes: i64) {
        self.0.lock().unwrap().2 += bytes;
    }

    fn file_done(&self, path: &str) {
        self.0.lock().unwrap().3.push(path.to_owned());
    }

    fn finish(&self) {}
}

#[test]
fn progress_counts_every_byte_once_whatever_breaks() {
    let s = setup();
    s.hub.fail("tokenizer.json", Fault { break_after: Some(10), times: 1, ..Fault::default() });
    let progress = Counting::default();
    let part = Part::Model { load_format: "auto".to_owned() };
    let reference = HubReference::parse("org/model").unwrap();
    Hub::new(s.settings.clone()).fetch(&reference, None, &part, &progress).unwrap();
    let (files, bytes, done, names) = progress.0.into_inner().unwrap();
    assert_eq!((files, bytes, names.len()), (5, done as u64, 5));
    assert!(bytes > 605_000, "{bytes}");
}

#[test]
fn all_parts_of_a_split_model_are_fetched_and_its_first_is_the_path() {
    let s = setup();
    let part = |i: usize| format!("Q2_K/m-Q2_K-{i:05}-of-00003.gguf");
    let mut repository = TestRepo::new("org/split").with("README.md", "no").with("m-Q8_0.gguf", "no");
    for i in 1..=3 {
        repository = repository.with(&part(i), shard(i));
    }
    s.hub.add(repository);
    for name in
        ["org/split:Q2_K".to_owned(), format!("org/split:{}", part(2)), format!("org/split/{}", part(3))]
    {
        let path = s.fetch(&name).unwrap();
        assert!(path.ends_with(part(1)), "{name}: {}", path.display());
        let folder = path.parent().unwrap();
        let expected = (1..=3).map(|i| part(i)["Q2_K/".len()..].to_owned()).collect::<Vec<_>>();
        assert_eq!(files_of(folder), expected);
        assert_eq!(std::fs::read(folder.join(&expected[2])).unwrap(), shard(3));
    }
    let offline = |s: &Setup| s.get("org/split:Q2_K", None, |settings| settings.offline = true);
    assert!(offline(&s).unwrap().ends_with(part(1)));
    let lost = s.fetch("org/split:Q2_K").unwrap().with_file_name(&part(2)["Q2_K/".len()..]);
    std::fs::remove_file(lost).unwrap();
    let error = one_line(&offline(&s).unwrap_err());
    assert!(error.contains(&format!("{} is missing", part(2))), "{error}");
}

#[test]
fn shards_without_an_index_are_fetched() {
    let s = setup();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let repository =
        TestRepo::new("org/unlisted").with("config.json", "{}").with("consolidated.safetensors", "no");
    s.hub.add(repository.with(shards[0], shard(1)).with(shards[1], shard(2)));
    let folder = s.fetch("org/unlisted").unwrap();
    assert_eq!(files_of(&folder), ["config.json", shards[0], shards[1]]);
}
