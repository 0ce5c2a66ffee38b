//! A process and its descendants, from Linux's `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Serialize;

/// One process at one point in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessSample {
    pub pid: i32,
    /// Name, at most 15 bytes.
    pub name: String,
    /// Resident set in KiB.
    pub rss_kib: u64,
    /// Resident memory in KiB, with shared pages divided among their users; `None` if it may not be read.
    pub pss_kib: Option<u64>,
    pub threads: u64,
    /// User and system time used so far, in clock ticks.
    #[serde(skip)]
    pub cpu_ticks: u64,
    /// Start time in clock ticks after boot; distinguishes a process from a later one with the same id.
    #[serde(skip)]
    pub start_ticks: u64,
}

/// The needed fields of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    name: String,
    state: char,
    parent: i32,
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
}

/// Parses a `stat` line. The name is in parentheses and may itself contain spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<&str> = text.get(close + 1..)?.split_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(Stat {
        name: text.get(open + 1..close)?.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)?,
        threads: number(17)?,
        start_ticks: number(19)?,
    })
}

/// The value in KiB of a line `Name:   123 kB` in `status` or `smaps_rollup`.
fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(pid: i32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// `root` and all its living descendants, by process id. Empty if `root` has ended.
pub fn tree(root: i32) -> Vec<ProcessSample> {
    let stats: BTreeMap<i32, Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, parse_stat(&read(pid, "stat")?)?)))
        .filter(|(_, stat)| stat.state != 'Z')
        .collect();
    let mut members = BTreeSet::from([root]);
    // A parent may have a greater id than its child, so repeat until nothing is added.
    loop {
        let before = members.len();
        members.extend(
            stats.iter().filter(|(_, s)| members.contains(&s.parent)).map(|(p, _)| *p).collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    members.iter().filter_map(|pid| Some(sample(*pid, stats.get(pid)?))).collect()
}

fn sample(pid: i32, stat: &Stat) -> ProcessSample {
    let rollup = read(pid, "smaps_rollup").unwrap_or_default();
    ProcessSample {
        pid,
        name: stat.name.clone(),
        rss_kib: read(pid, "status").and_then(|text| kib(&text, "VmRSS")).unwrap_or(0),
        pss_kib: kib(&rollup, "Pss"),
        threads: stat.threads,
        cpu_ticks: stat.cpu_ticks,
        start_ticks: stat.start_ticks,
    }
}

/// Whether the process of `sample` itself still runs.
pub fn is_alive(sample: &ProcessSample) -> bool {
    read(sample.pid, "stat")
        .and_then(|text| parse_stat(&text))
        .is_some_and(|stat| stat.start_ticks == sample.start_ticks && stat.state != 'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 0 0 0 100 23 0 0 20 0 5 0 9876 0 0";
        let expected = Stat {
            name: "a) b (c)".into(),
            state: 'S',
            parent: 7,
            cpu_ticks: 123,
            threads: 5,
            start_ticks: 9876,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (x"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn kib_reads_the_named_line_only() {
        let text = "Pss_Anon:  7 kB\nPss:      12 kB\nRss: 20 kB\n";
        assert_eq!(kib(text, "Pss"), Some(12));
        assert_eq!(kib(text, "Swap"), None);
    }

    #[test]
    fn the_tree_holds_this_process_and_its_child() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let pid = child.id() as i32;
        let members = tree(std::process::id() as i32);
        let found = members.iter().find(|p| p.pid == pid).cloned();
        child.kill().unwrap();
        child.wait().unwrap();
        let me = members.iter().find(|p| p.pid == std::process::id() as i32).unwrap();
        assert!(me.rss_kib > 0 && me.threads > 0);
        let found = found.unwrap();
        assert!(!is_alive(&found));
    }
}
