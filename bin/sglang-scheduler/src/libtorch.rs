//! Finds libtorch: where the environment says, beside the program, or in the user's cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sglang_process::failure::Failure;

/// The library that the program links; the others lie beside it.
const LIBRARY: &str = "libtorch_cpu.so";
/// The libtorch that the program is built for.
const VERSION: &str = "2.11.";
/// The folder that `scripts/setup` makes in the cache.
const IN_CACHE: &str = "libtorch-2.11.0";

/// Finds the folder of libtorch's libraries for the program at `own`. `variable` reads the environment.
///
/// # Errors
/// `LIBTORCH` names a folder without it, or no place has it; the error lists the places that were tried.
pub fn find(own: &Path, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(named) = variable("LIBTORCH") {
        let named = PathBuf::from(named);
        return libraries(&named).map_err(|why| {
            Failure::of_input(format!(
                "LIBTORCH={}: {why}; it must be a folder with lib/{LIBRARY} of torch {VERSION}0, or unset",
                named.display()
            ))
        });
    }
    let mut tried = vec!["LIBTORCH (not set)".to_owned()];
    for place in places(own, &variable) {
        match libraries(&place.folder) {
            Ok(folder) => return Ok(folder),
            Err(why) => tried.push(format!("{} ({}: {why})", place.folder.display(), place.what)),
        }
    }
    Err(Failure::of_system(format!(
        "libtorch {VERSION}0 was not found; tried {}. Set LIBTORCH to a folder with lib/{LIBRARY}, such as torch in a Python \
         environment, or run scripts/setup",
        tried.join(", ")
    )))
}

/// A folder that may hold libtorch.
struct Place {
    what: &'static str,
    folder: PathBuf,
}

/// The places to search, most specific first. The folder above the program's is searched only if it belongs to the
/// installation: for a program in `/tmp/x`, anybody may have written to `/tmp`.
fn places(own: &Path, variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |what, folder| places.push(Place { what, folder });
    if let Some(paths) = variable("LD_LIBRARY_PATH") {
        for folder in std::env::split_paths(&paths).filter(|folder| folder.join(LIBRARY).exists()) {
            add("LD_LIBRARY_PATH", folder);
        }
    }
    if let Some(beside) = own.parent() {
        add("beside the program", beside.join("libtorch"));
        add("beside the program", beside.to_owned());
        if let Some(above) = beside.parent().filter(|_| beside.ends_with("bin")) {
            add("beside the program's folder", above.join("libtorch"));
            add("beside the program's folder", above.to_owned());
        }
        if let Some(checkout) = beside.ancestors().find(|a| a.ends_with("target")).and_then(Path::parent) {
            add("the checkout's", checkout.join(".libtorch"));
        }
    }
    let base = || {
        let home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
        Some(variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?.join("sglang-rs"))
    };
    if let Some(cache) = variable("SGLANG_RS_CACHE").map(PathBuf::from).or_else(base) {
        add("the cache", cache.join(IN_CACHE));
    }
    if let Some(environment) = variable("VIRTUAL_ENV").map(PathBuf::from) {
        for version in std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten() {
            add("the Python environment's", version.path().join("site-packages/torch"));
        }
    }
    places
}

/// The folder with the libraries: `folder/lib`, or `folder` itself.
fn libraries(folder: &Path) -> Result<PathBuf, String> {
    // The system's loader resolves relative folders against the current folder, as the user meant them.
    let folder = std::path::absolute(folder).map_err(|e| e.to_string())?;
    let lib = folder.join("lib");
    let (libraries, root) = match (lib.join(LIBRARY), folder.join(LIBRARY)) {
        (file, _) if readable(&file) => (lib, folder),
        (_, file) if readable(&file) => (folder.clone(), folder.parent().unwrap_or(&folder).to_owned()),
        (file, _) => {
            return Err(match std::fs::metadata(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => e.to_string(),
                Ok(_) => format!("lib/{LIBRARY} cannot be read"),
                Err(_) => format!("no lib/{LIBRARY}"),
            });
        }
    };
    match version(&root) {
        Some(found) if !found.starts_with(VERSION) => Err(format!("is version {found}")),
        _ => Ok(libraries),
    }
}

fn readable(file: &Path) -> bool {
    std::fs::File::open(file).is_ok()
}

/// The version, if a file beside the libraries states it.
fn version(root: &Path) -> Option<String> {
    let text =
        ["build-version", "version.py"].iter().find_map(|f| std::fs::read_to_string(root.join(f)).ok())?;
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words.into_iter().find(|word| word.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a library at `at` of it.
    fn libtorch(root: &Path, at: &str, version: &str) {
        std::fs::create_dir_all(root.join(at)).expect("made");
        std::fs::write(root.join(at).join(LIBRARY), "").expect("written");
        std::fs::write(root.join("build-version"), version).expect("written");
    }

    fn found(own: &Path, variables: &[(&str, &Path)]) -> Result<PathBuf, Failure> {
        find(own, &|name| Some(variables.iter().find(|(n, _)| *n == name)?.1.into()))
    }

    #[test]
    fn every_place_is_looked_into_and_the_named_one_first() {
        let base = tempfile::tempdir().expect("base");
        let at = |path: &str| base.path().join(path);
        let own = at("bin/sglang-scheduler");
        std::fs::create_dir(at("bin")).expect("made");
        let cache = at("cache");
        let home = at("home");
        let search = at("search/lib");
        let named = at("named");
        let environment = at("python");
        let variables: Vec<(&str, &Path)> = vec![
            ("HOME", &home),
            ("VIRTUAL_ENV", &environment),
            ("XDG_CACHE_HOME", &cache),
            ("LD_LIBRARY_PATH", &search),
        ];
        // Each is found although all after it are there.
        libtorch(&at("python/lib/python3.11/site-packages/torch"), "lib", "2.11.0");
        assert_eq!(found(&own, &variables), Ok(at("python/lib/python3.11/site-packages/torch/lib")));
        libtorch(&at("home/.cache/sglang-rs/libtorch-2.11.0"), "lib", "2.11.0");
        assert_eq!(found(&own, &variables[..2]), Ok(at("home/.cache/sglang-rs/libtorch-2.11.0/lib")));
        libtorch(&at("cache/sglang-rs/libtorch-2.11.0"), "lib", "2.11.0");
        assert_eq!(found(&own, &variables), Ok(at("cache/sglang-rs/libtorch-2.11.0/lib")));
        libtorch(&at("libtorch"), "lib", "2.11.0\n");
        assert_eq!(found(&own, &variables), Ok(at("libtorch/lib")));
        libtorch(&at("bin/libtorch"), "lib", "2.11.1");
        assert_eq!(found(&own, &variables), Ok(at("bin/libtorch/lib")));
        libtorch(&at("search"), "lib", "2.11.0");
        assert_eq!(found(&own, &variables), Ok(search.clone()));
        libtorch(&named, "lib", "2.11.0");
        let with_named = |path| [&[("LIBTORCH", path)], variables.as_slice()].concat();
        assert_eq!(found(&own, &with_named(&named)), Ok(at("named/lib")));
        let its_lib = at("named/lib");
        assert_eq!(found(&own, &with_named(&its_lib)), Ok(at("named/lib")), "its lib will do");
        let error = found(&own, &with_named(&home)).expect_err("no libtorch");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with(&format!("LIBTORCH={}: no lib/", home.display())), "{error}");
    }

    #[test]
    fn what_was_tried_is_said_and_other_versions_are_passed_over() {
        let base = tempfile::tempdir().expect("base");
        let own = base.path().join("programs/sglang-scheduler");
        libtorch(&base.path().join("programs/libtorch"), "lib", "2.9.1+cpu");
        // Above a folder that is not called `bin`: perhaps somebody else's.
        libtorch(&base.path().join("libtorch"), "lib", "2.11.0");
        let error = found(&own, &[("SGLANG_RS_CACHE", &base.path().join("cache"))]).expect_err("none");
        assert_eq!(error.exit_code(), 1);
        let text = error.to_string();
        for part in [
            "LIBTORCH (not set)",
            "programs/libtorch (beside the program: is version 2.9.1)",
            "cache/libtorch-2.11.0 (the cache: no lib/libtorch_cpu.so)",
            "Set LIBTORCH",
        ] {
            assert!(text.contains(part), "{text} should say {part}");
        }
    }

    #[test]
    fn a_program_in_a_build_folder_uses_the_checkouts() {
        let base = tempfile::tempdir().expect("base");
        libtorch(&base.path().join(".libtorch"), "lib", "2.11.0");
        for own in
            ["target/release/sglang-scheduler", "target/x86_64-unknown-linux-gnu/release/sglang-scheduler"]
        {
            assert_eq!(found(&base.path().join(own), &[]), Ok(base.path().join(".libtorch/lib")));
        }
    }
}
