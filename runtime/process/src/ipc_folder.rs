//! The folder for the sockets between the processes: checks its permissions, and tells which files are ours.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Checks that the sockets are safe in `dir`: it must belong to this user, and no other user may write to it.
///
/// # Errors
/// Why `dir` is not safe, as text for the user.
pub fn check(dir: &Path) -> Result<(), String> {
    let folder = std::fs::metadata(dir).map_err(|error| error.to_string())?;
    let own = nix::unistd::geteuid().as_raw();
    if !folder.is_dir() {
        return Err("it is no folder".into());
    }
    if folder.uid() != own {
        return Err(format!("it belongs to user {}, not to {own}, who runs this process", folder.uid()));
    }
    let mode = folder.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(format!("others may write into it (mode {mode:o}); make it 700"));
    }
    Ok(())
}

/// Whether a file name in the folder belongs to the links or their processes.
pub fn is_own_name(name: &str) -> bool {
    let sockets = ["scheduler_input", "detokenizer", "tokenizer"];
    let roles = ["tokenizer_manager", "scheduler", "detokenizer"];
    let of = |stems: &[&str], ending: &str| stems.iter().any(|stem| name == format!("{stem}{ending}"));
    // A process that died while it bound a socket leaves `NAME.sock.<pid>-<number>`.
    let base = name.split_inclusive(".sock").next().unwrap_or(name);
    let rest = name.get(base.len()..).unwrap_or_default();
    let temporary = rest.is_empty()
        || rest.strip_prefix('.').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
    (sockets.iter().any(|stem| base == format!("{stem}.sock")) && temporary)
        || of(&sockets, ".version")
        || of(&roles, ".life")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_those_of_sockets_versions_and_lives() {
        for name in [
            "tokenizer.sock",
            "scheduler_input.sock.123-0",
            "detokenizer.version",
            "scheduler.life",
            "tokenizer_manager.life",
        ] {
            assert!(is_own_name(name), "{name}");
        }
        for name in [
            "",
            "x.sock",
            "tokenizer",
            "tokenizer.sock.bak",
            "mytokenizer.sock",
            "notes.txt",
            "postgres.life",
        ] {
            assert!(!is_own_name(name), "{name}");
        }
    }

    #[test]
    fn a_folder_that_others_may_write_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path()).unwrap();
        for (mode, good) in [(0o755, true), (0o777, false), (0o1777, false), (0o770, false), (0o702, false)] {
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(check(dir.path()).is_ok(), good, "{mode:o}");
        }
        assert!(check(&dir.path().join("missing")).is_err());
    }
}
