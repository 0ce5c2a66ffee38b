//! Numbers the lives of a role in a folder of sockets, and ensures that only one runs at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sglang_process::ipc_folder;
use sglang_proto::wire::Role;

use crate::IpcError;

/// How long a process waits for its predecessor in the role to end.
const PREDECESSOR: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The lock that prevents a second life of a role. The system releases it when it is dropped or the process ends in any
/// way.
#[derive(Debug)]
pub(crate) struct Life {
    /// Number of this life, larger than those of all earlier lives of the role in this folder.
    pub number: u64,
    _lock: File,
}

impl Life {
    /// Begins a life of `role`. Its number is the last one in `dir` plus one, but at least `least`.
    pub fn begin(role: Role, dir: &Path, least: u64) -> Result<Self, IpcError> {
        ipc_folder::check(dir).map_err(|why| IpcError::Folder { path: dir.to_owned(), why })?;
        let path = dir.join(format!("{role}.life"));
        let failed = |error: std::io::Error| IpcError::Folder { path: path.clone(), why: error.to_string() };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let deadline = Instant::now() + PREDECESSOR;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => {
                    return Err(IpcError::Taken { role: role.name(), dir: dir.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        // An incomplete file counts as empty: the process that wrote it has never said hello.
        let number = text.trim().parse::<u64>().unwrap_or(0).saturating_add(1).max(least);
        file.rewind().map_err(failed)?;
        // No number has fewer digits than an earlier one, so this overwrites the earlier one completely.
        writeln!(file, "{number}").map_err(failed)?;
        Ok(Self { number, _lock: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_of_a_role_has_a_larger_number_and_one_at_a_time_lives() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = 0;
        for _ in 0..12 {
            let life = Life::begin(Role::Scheduler, dir.path(), 0).unwrap();
            assert!(life.number > last);
            last = life.number;
        }
        assert_eq!(Life::begin(Role::Detokenizer, dir.path(), 7).unwrap().number, 7);
        assert_eq!(Life::begin(Role::Detokenizer, dir.path(), 7).unwrap().number, 8);
        let held = Life::begin(Role::Scheduler, dir.path(), 0).unwrap();
        let other = std::thread::spawn({
            let dir = dir.path().to_owned();
            move || Life::begin(Role::Scheduler, &dir, 0).map(|life| life.number)
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(!other.is_finished(), "it waits for the end of the one before it");
        let number = held.number;
        drop(held);
        assert_eq!(other.join().unwrap().unwrap(), number + 1);
    }
}
