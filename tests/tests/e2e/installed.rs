//! Programs that were copied to another folder and are run by another user find libtorch, or say where they looked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use sglang_e2e::{Server, ServerOptions, bin_dir, model_path};

/// Copies of the programs, and an environment that does not lead to the build's libtorch.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("programs")).unwrap();
        for name in
            ["launch", "scheduler", "scheduler-torch", "grammar-helper", "detokenizer", "tokenizer-manager"]
        {
            let name = format!("sglang-{name}");
            std::fs::copy(bin_dir().join(&name), folder.path().join("programs").join(&name)).unwrap();
        }
        Self { folder }
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("programs")
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn environment(&self, more: &[(&str, &Path)]) -> Vec<(String, String)> {
        let hidden = ["LIBTORCH", "LD_LIBRARY_PATH", "SGLANG_RS_CACHE", "XDG_CACHE_HOME", "VIRTUAL_ENV"];
        let mut environment: Vec<_> = hidden.map(|name| (name.to_owned(), String::new())).into();
        let home = self.home();
        let more = [&[("HOME", home.as_path())], more].concat();
        environment
            .extend(more.iter().map(|(name, path)| ((*name).to_owned(), path.to_str().unwrap().to_owned())));
        environment
    }

    /// Runs a program to its end.
    fn run(&self, program: &str, args: &[&str], more: &[(&str, &Path)]) -> Output {
        let mut command = Command::new(self.programs().join(program));
        command.args(args).envs(self.environment(more)).env("HF_HUB_OFFLINE", "1").output().unwrap()
    }

    /// Asserts that a server answers.
    fn serves(&self, more: &[(&str, &Path)]) {
        let options = ServerOptions {
            programs: Some(self.programs()),
            env: self.environment(more),
            ..Default::default()
        };
        let server = Server::start_with(&options).unwrap();
        let params = json!({"max_new_tokens": 4, "ignore_eos": true});
        let body = json!({"text": "The capital of France is", "sampling_params": params});
        assert_eq!(server.post_json("/generate", &body).unwrap()["meta_info"]["completion_tokens"], 4);
    }
}

/// The libtorch of this build.
fn libtorch() -> PathBuf {
    let checkout = || concat!(env!("CARGO_MANIFEST_DIR"), "/../.libtorch").into();
    std::env::var_os("LIBTORCH").unwrap_or_else(checkout).into()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn copied_programs_find_libtorch_beside_them_and_by_its_variable() {
    let installed = Installed::new();
    installed.serves(&[("LIBTORCH", &libtorch())]);
    std::os::unix::fs::symlink(libtorch(), installed.programs().join("libtorch")).unwrap();
    installed.serves(&[]);
}

#[test]
fn a_scheduler_by_itself_finds_libtorch_in_the_cache_of_whoever_runs_it() {
    let installed = Installed::new();
    let model = model_path();
    let args = ["--model-path", model.to_str().unwrap()];
    let cache = installed.home().join(".cache/sglang-rs");
    std::fs::create_dir_all(&cache).unwrap();
    std::os::unix::fs::symlink(libtorch(), cache.join("libtorch-2.11.0")).unwrap();
    // Only the program that links libtorch gets this far.
    let output = installed.run("sglang-scheduler", &args, &[]);
    assert!(text(&output).contains("--ipc-dir is needed"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(2));
    // No path of the build is compiled in.
    let output = installed.run("sglang-scheduler-torch", &args, &[]);
    assert!(text(&output).contains("libtorch_cpu.so: cannot open"), "{}", text(&output));
}

#[test]
fn without_libtorch_the_start_says_what_was_tried() {
    let installed = Installed::new();
    let model = model_path();
    let args = ["--model-path", model.to_str().unwrap(), "--port", "0"];
    let output = installed.run("sglang-launch", &args, &[]);
    let log = text(&output);
    assert_eq!(output.status.code(), Some(1), "{log}");
    let line = log.lines().next_back().unwrap_or_default();
    assert!(
        line.contains("the scheduler cannot start: libtorch 2.11.0 was not found; tried LIBTORCH (not set)"),
        "{log}"
    );
    let cache = installed.home().join(".cache/sglang-rs/libtorch-2.11.0");
    for place in [installed.programs().join("libtorch"), installed.programs(), cache] {
        assert!(line.contains(&format!("{} (", place.display())), "{log}");
    }
    let own = log.find("Scheduler hit an exception: libtorch 2.11.0 was not found");
    assert!(own.is_some_and(|own| own < log.rfind("cannot start").unwrap()), "{log}");

    let output = installed.run("sglang-scheduler", &args, &[("LIBTORCH", &installed.home())]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("/home: no lib/libtorch_cpu.so"), "{}", text(&output));

    // Neither help nor a wrong command line needs it, and with it they say the same.
    let help = installed.run("sglang-scheduler", &["--help"], &[]);
    let usage = "Usage: sglang-scheduler --model-path";
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains(usage));
    assert_eq!(installed.run("sglang-scheduler", &["--help"], &[("LIBTORCH", &libtorch())]), help);
    assert_eq!(installed.run("sglang-scheduler", &["--prot", "1"], &[]).status.code(), Some(2));

    std::fs::remove_file(installed.programs().join("sglang-scheduler-torch")).unwrap();
    let output = installed.run("sglang-scheduler", &args, &[("LIBTORCH", &libtorch())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("sglang-scheduler-torch is missing"), "{}", text(&output));
}
