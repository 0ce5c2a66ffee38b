//! Kernel information about the threads of a hung process, for the log. The process cannot report it itself, and
//! user-space stacks would need a debugger.

use std::fs;
use std::path::Path;

use nix::unistd::Pid;

/// Most threads to show; a process has a few dozen.
const THREADS: usize = 64;

/// One line per thread: its name, its state, the kernel function it waits in, and its system call. Omits what this user
/// may not read.
pub(crate) fn of(pid: Pid) -> Vec<String> {
    let tasks = format!("/proc/{pid}/task");
    let mut folders: Vec<_> =
        fs::read_dir(tasks).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().take(THREADS).map(|folder| thread(folder)).collect()
}

fn thread(folder: &Path) -> String {
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut line = format!("thread {id} {:?}", read("comm"));
    let state = state_in(&read("stat")).map(String::from).unwrap_or_default();
    for (what, value) in
        [("state", state), ("wchan", read("wchan")), ("syscall", read("syscall")), ("stack", read("stack"))]
    {
        if !value.is_empty() && value != "0" {
            line += &format!(" {what}={value}");
        }
    }
    line
}

/// Whether a signal or a debugger has stopped the process.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    matches!(state_in(&stat), Some('T' | 't'))
}

/// The state in a line of `/proc/PID/stat`. It comes after the name, which may contain any characters.
fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_own_threads_are_shown_with_their_names() {
        let named = std::thread::Builder::new().name("sleeps".into());
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = named.spawn(move || ended.recv()).expect("a thread");
        // A thread gets its name and goes to sleep shortly after it was started.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !of(Pid::this()).iter().any(|line| line.contains("\"sleeps\" state=S")) {
            assert!(Instant::now() < deadline, "{:?}", of(Pid::this()));
        }
        assert!(!is_stopped(Pid::this()));
        drop(end);
        let _ = thread.join();
        assert_eq!(state_in("7 (a) b) T 1"), Some('T'));
    }
}
