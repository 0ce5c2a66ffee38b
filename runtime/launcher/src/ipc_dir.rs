//! The folder for the sockets between the processes: one per run, mode 0700, locked during the run.
//!
//! A lock (`flock`), not a process id, shows whether a run is alive: the kernel releases it when the launcher ends in
//! any way, and it also works across pid namespaces that share a folder.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::outcome::LaunchError;

const LOCK: &str = "launcher.lock";
const PREFIX: &str = "sglang-";
/// Longest path of the folder. The path of a Unix socket has at most 107 bytes; 40 of them are for the longest socket
/// name.
const LONGEST_DIR: usize = 107 - 40;

/// The folder, removed on drop. In a folder given on the command line, only the files of the run are removed.
#[derive(Debug)]
pub(crate) struct IpcDir {
    path: PathBuf,
    made_here: bool,
    /// Holds the lock until the folder is removed.
    _lock: File,
}

impl IpcDir {
    /// Uses `given`; without it, removes folders left by earlier runs and creates a new one.
    pub(crate) fn create(given: Option<&Path>) -> Result<Self, LaunchError> {
        match given {
            Some(path) => Self::take(path),
            None => Self::make_in(&bases(std::env::var_os("XDG_RUNTIME_DIR"), std::env::temp_dir())),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The largest life number in this folder; 0 in a new one.
    pub(crate) fn last_life(&self) -> u64 {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let files =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "life"));
        files.filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok()).max().unwrap_or(0)
    }

    /// Creates a folder in the first of `bases` that permits it.
    fn make_in(bases: &[PathBuf]) -> Result<Self, LaunchError> {
        // Clean all of them, because the last run may have used another one.
        bases.iter().for_each(|base| remove_stale(base));
        let mut tried = Vec::new();
        for base in bases {
            match Self::make(base) {
                Ok(dir) => return Ok(dir),
                Err(why) => {
                    tracing::debug!("no folder for sockets in {}: {why}", base.display());
                    tried.push(format!("{} ({why})", base.display()));
                }
            }
        }
        Err(LaunchError::NoIpcDir(tried.join(", ")))
    }

    /// Creates a folder in `base`, and checks that it can contain sockets.
    fn make(base: &Path) -> Result<Self, String> {
        let path = base.join(format!("{PREFIX}{}-{}", std::process::id(), random_hex()));
        check_length(&path)?;
        make_private(&path).map_err(|e| e.to_string())?;
        let dir = lock(&path).map_err(LockError::text).and_then(|lock| {
            // Some file systems do not support sockets.
            let probe = path.join("probe");
            UnixListener::bind(&probe)
                .and_then(|_| std::fs::remove_file(&probe))
                .map_err(|e| e.to_string())?;
            Ok(lock)
        });
        match dir {
            Ok(lock) => Ok(IpcDir { path, made_here: true, _lock: lock }),
            Err(why) => {
                // If this fails, only an empty folder of ours remains.
                let _ = std::fs::remove_dir_all(&path);
                Err(why)
            }
        }
    }

    /// Uses a folder given on the command line; creates it if it does not exist.
    fn take(path: &Path) -> Result<Self, LaunchError> {
        let fail = |e: String| LaunchError::BadIpcDir(path.to_owned(), e);
        check_length(path).map_err(fail)?;
        match make_private(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(e) => return Err(fail(e.to_string())),
        }
        let path = path.canonicalize().map_err(|e| fail(e.to_string()))?;
        sglang_process::ipc_folder::check(&path).map_err(fail)?;
        let lock = lock(&path).map_err(|error| match error {
            LockError::InUse => LaunchError::IpcDirInUse(path.clone()),
            LockError::Unwritable(e) => fail(e),
        })?;
        Ok(IpcDir { path, made_here: false, _lock: lock })
    }
}

/// Candidates for the parent folder: the user's runtime folder, the temporary folder, and two that nearly every system
/// has.
fn bases(runtime: Option<OsString>, temporary: PathBuf) -> Vec<PathBuf> {
    let mut bases = Vec::new();
    let named = runtime.map(PathBuf::from).into_iter().chain([temporary]);
    for base in named.chain(["/tmp".into(), "/dev/shm".into()]) {
        if base.is_absolute() && !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases
}

impl Drop for IpcDir {
    fn drop(&mut self) {
        if self.made_here {
            if let Err(e) = std::fs::remove_dir_all(&self.path) {
                tracing::warn!("{} could not be removed: {e}", self.path.display());
            }
            return;
        }
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name == LOCK || name.to_str().is_some_and(sglang_process::ipc_folder::is_own_name) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn check_length(path: &Path) -> Result<(), String> {
    match path.as_os_str().len() {
        len if len > LONGEST_DIR => {
            Err(format!("the path has {len} bytes; sockets allow at most {LONGEST_DIR}"))
        }
        _ => Ok(()),
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Locks the folder for this run. The lock file gets its name after it is locked, so that no other process ever sees it
/// unlocked during the run.
fn lock(dir: &Path) -> Result<File, LockError> {
    let path = dir.join(LOCK);
    if let Ok(old) = File::open(&path)
        && let Err(TryLockError::WouldBlock) = old.try_lock()
    {
        return Err(LockError::InUse);
    }
    let fresh = dir.join(format!("{LOCK}.{}", std::process::id()));
    let made = File::create(&fresh).and_then(|mut file| {
        file.lock()?;
        writeln!(file, "{}", std::process::id())?;
        std::fs::rename(&fresh, &path)?;
        Ok(file)
    });
    made.map_err(|e| LockError::Unwritable(format!("cannot be written: {e}")))
}

/// Why a folder cannot be locked.
enum LockError {
    /// Another server holds the lock.
    InUse,
    /// The lock file cannot be created.
    Unwritable(String),
}

impl LockError {
    fn text(self) -> String {
        match self {
            LockError::InUse => "another running server uses this folder".to_owned(),
            LockError::Unwritable(why) => why,
        }
    }
}

/// Removes the folders of runs that have ended. They have a name of ours, belong to this user, and their lock is free.
fn remove_stale(base: &Path) {
    let uid = nix::unistd::geteuid().as_raw();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_run = entry.file_name().to_str().is_some_and(is_run_name);
        // This is the metadata of the entry itself; it does not follow links.
        let is_ours = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == uid);
        if !(is_run && is_ours) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            tracing::debug!("removing {}, left by a run that has ended", entry.path().display());
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a name is `sglang-<pid>-<8 hex digits>`.
fn is_run_name(name: &str) -> bool {
    let Some((pid, random)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_digit())
        && random.len() == 8
        && random.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Eight hex digits that differ from run to run.
fn random_hex() -> String {
    format!("{:08x}", random_u32())
}

/// 32 random bits from the kernel, or from the clock if `/dev/urandom` is missing.
pub(crate) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    match File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_run_gets_a_private_folder_that_goes_with_it() {
        let base = tempfile::tempdir().expect("base");
        let dir = IpcDir::make_in(&["/nonexistent".into(), base.path().to_owned()]).expect("made");
        let path = dir.path().to_owned();
        assert_eq!(path.metadata().expect("exists").permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("scheduler.sock"), "").expect("written");
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn the_last_life_is_the_largest_number_in_the_folder() {
        let base = tempfile::tempdir().expect("base");
        let dir = IpcDir::make_in(&[base.path().to_owned()]).expect("made");
        assert_eq!(dir.last_life(), 0);
        for (name, text) in
            [("scheduler.life", "7\n"), ("detokenizer.life", "12\n"), ("x.life", "?"), ("other", "99")]
        {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        assert_eq!(dir.last_life(), 12);
    }

    #[test]
    fn a_folder_that_is_missing_too_long_or_closed_is_passed_over_and_all_are_named_at_last() {
        let base = tempfile::tempdir().expect("base");
        let long = base.path().join("x".repeat(80));
        std::fs::create_dir(&long).expect("made");
        let file = base.path().join("file");
        std::fs::write(&file, "").expect("written");
        let bad = ["/nonexistent".into(), long.clone(), file];
        let error = IpcDir::make_in(&bad).expect_err("none will do");
        assert_eq!(error.exit_code(), 1);
        let text = error.to_string();
        assert!(!text.contains("--ipc-dir /") && text.contains("name one with --ipc-dir"), "{text}");
        for base in &bad {
            assert!(text.contains(&format!("{} (", base.display())), "{text}");
        }
        let good = base.path().to_owned();
        let dir = IpcDir::make_in(&[bad.to_vec(), vec![good.clone()]].concat()).expect("made");
        assert_eq!(dir.path().parent(), Some(good.as_path()));
        assert_eq!(std::fs::read_dir(&long).expect("readable").count(), 0, "nothing is left");
        let inside: Vec<_> =
            std::fs::read_dir(dir.path()).expect("readable").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(inside, [LOCK], "the probe is gone");
    }

    #[test]
    fn folders_are_looked_for_in_the_users_own_place_first_and_in_two_that_every_system_has() {
        let found =
            |runtime: Option<&str>, temporary: &str| bases(runtime.map(OsString::from), temporary.into());
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            found(Some("/run/user/7"), "/var/tmp"),
            paths(&["/run/user/7", "/var/tmp", "/tmp", "/dev/shm"])
        );
        assert_eq!(found(None, "/tmp"), paths(&["/tmp", "/dev/shm"]));
        assert_eq!(found(Some("relative"), ""), paths(&["/tmp", "/dev/shm"]));
    }

    #[test]
    fn folders_of_ended_runs_are_removed_and_others_are_not() {
        let base = tempfile::tempdir().expect("base");
        let make = |name: &str, with_lock: bool| {
            let path = base.path().join(name);
            std::fs::create_dir(&path).expect("made");
            if with_lock {
                std::fs::write(path.join(LOCK), "1").expect("written");
            }
            path
        };
        let stale = make("sglang-123-0a1b2c3d", true);
        let being_made = make("sglang-124-0a1b2c3d", false);
        let foreign = make("sglang-notes", true);
        let outside = tempfile::tempdir().expect("outside");
        std::fs::write(outside.path().join(LOCK), "1").expect("written");
        let link = base.path().join("sglang-125-0a1b2c3d");
        std::os::unix::fs::symlink(outside.path(), &link).expect("linked");
        let alive = IpcDir::make_in(&[base.path().to_owned()]).expect("made");
        let second = IpcDir::make_in(&[base.path().to_owned()]).expect("made");
        assert!(!stale.exists());
        assert!(
            being_made.exists() && foreign.exists() && link.exists() && outside.path().join(LOCK).exists()
        );
        assert!(alive.path().exists() && second.path().exists());
    }

    #[test]
    fn a_given_folder_is_kept_and_only_what_is_ours_is_removed() {
        let base = tempfile::tempdir().expect("base");
        let path = base.path().join("ipc");
        let dir = IpcDir::create(Some(&path)).expect("made");
        let error = IpcDir::create(Some(&path)).expect_err("in use");
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("another running server"), "{error}");
        let bind = |name: &str| std::os::unix::net::UnixListener::bind(path.join(name)).expect("bound");
        let sockets = [bind("tokenizer.sock"), bind("another-program.sock")];
        for name in ["notes.txt", "tokenizer.version", "scheduler.life"] {
            std::fs::write(path.join(name), "mine").expect("written");
        }
        drop((sockets, dir));
        let mut left: Vec<_> =
            std::fs::read_dir(&path).expect("kept").map(|e| e.expect("entry").file_name()).collect();
        left.sort();
        assert_eq!(left, ["another-program.sock", "notes.txt"]);
        IpcDir::create(Some(&path)).expect("free again");
    }

    #[test]
    fn a_given_folder_that_others_may_write_is_refused() {
        let base = tempfile::tempdir().expect("base");
        std::fs::set_permissions(base.path(), PermissionsExt::from_mode(0o777)).expect("changed");
        let error = IpcDir::create(Some(base.path())).expect_err("open to all");
        assert!(error.to_string().contains("others may write into it"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_path_too_long_for_sockets_is_refused() {
        let error =
            IpcDir::create(Some(Path::new(&format!("/tmp/{}", "x".repeat(100))))).expect_err("too long");
        assert!(error.to_string().contains("at most"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(IpcDir::create(Some(file.path())).expect_err("a file").exit_code(), 2);
    }
}
