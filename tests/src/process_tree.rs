//! A server's processes, as `/proc` shows them.

use std::fs;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Process id.
    pub pid: i32,
    /// Parent's process id.
    pub parent: i32,
    /// Command name (first 15 bytes).
    pub name: String,
}

fn read_stat(pid: i32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_whitespace();
    // A zombie is no longer running; its parent just has not reaped it yet.
    if fields.next()? == "Z" {
        return None;
    }
    Some(ProcessInfo { pid, parent: fields.next()?.parse().ok()?, name })
}

/// `root` and all its living descendants.
pub fn process_tree(root: i32) -> Vec<ProcessInfo> {
    let all: Vec<ProcessInfo> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(read_stat)
        .collect();
    let mut tree: Vec<ProcessInfo> = all.iter().filter(|p| p.pid == root).cloned().collect();
    let mut at = 0;
    while let Some(parent) = tree.get(at).map(|p| p.pid) {
        tree.extend(all.iter().filter(|p| p.parent == parent).cloned());
        at += 1;
    }
    tree
}

/// Resident memory of a process in bytes; 0 if it has ended.
pub fn resident_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
