//! Measures the free memory of a device.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::torch_cuda;

/// Free bytes on a device.
pub(crate) fn free_bytes(device: Device) -> u64 {
    match device {
        Device::Cuda(index) => torch_cuda::free_bytes(index).unwrap_or(0),
        _ => available_host_bytes(),
    }
}

/// Bytes of host memory that are available without swapping (`MemAvailable`), but no more than the process's control
/// groups allow.
fn available_host_bytes() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse::<u64>().ok());
    // Without /proc, assume 4 GiB.
    let host = kib.map_or(4 << 30, |k| k * 1024);
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    control_group_free(Path::new("/sys/fs/cgroup"), &own).map_or(host, |free| host.min(free))
}

/// The least memory that any control group of the process leaves, from its own group up to the root. `own` is the
/// content of `/proc/self/cgroup`. `None` if no group has a limit.
fn control_group_free(mount: &Path, own: &str) -> Option<u64> {
    let of = |controller: &str| {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|name| name == controller).then_some(path)
        })
    };
    let groups = |root: PathBuf, path: Option<&str>| {
        let own = root.join(path.unwrap_or_default().trim_start_matches('/'));
        // A container may see its group's path on the host, which does not exist inside; so always check the root too.
        let up: Vec<PathBuf> =
            own.ancestors().take_while(|p| p.starts_with(&root)).map(Path::to_owned).collect();
        up
    };
    let second = groups(mount.to_owned(), of(""))
        .into_iter()
        .filter_map(|group| left(&group, ["memory.max", "memory.current", "inactive_file"]));
    let first = groups(mount.join("memory"), of("memory")).into_iter().filter_map(|group| {
        left(&group, ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
    });
    second.chain(first).min()
}

/// What the limit of one control group leaves; cached file pages count as free.
fn left(group: &Path, [limit, used, cached]: [&str; 3]) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let (limit, used) = (number(limit)?, number(used)?);
    let stat = read("memory.stat").unwrap_or_default();
    let cached = stat.lines().find_map(|l| l.strip_prefix(cached)?.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_above_a_process_counts_and_cached_pages_are_free() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let free = |own: &str| control_group_free(root.path(), own);
        assert_eq!(free("0::/\n"), None);
        write("memory.max", "max\n");
        write("memory.current", "900\n");
        write("memory.stat", "anon 100\ninactive_file 700\n");
        assert_eq!(free("0::/\n"), None);
        write("memory.max", "1000\n");
        assert_eq!(free("0::/\n"), Some(800));
        assert_eq!(free(""), Some(800));
        // A service with a limit in a slice without one.
        write("a.slice/memory.max", "max\n");
        write("a.slice/memory.current", "500\n");
        write("a.slice/b.service/memory.max", "300\n");
        write("a.slice/b.service/memory.current", "100\n");
        write("a.slice/b.service/memory.stat", "inactive_file 50\n");
        assert_eq!(free("0::/a.slice/b.service\n"), Some(250));
        assert_eq!(free("0::/a.slice\n"), Some(800));
        assert_eq!(free("0::/not/there\n"), Some(800));
        // Control groups version 1.
        let old = tempfile::tempdir().unwrap();
        let group = old.path().join("memory/c");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("memory.limit_in_bytes"), "1000").unwrap();
        std::fs::write(group.join("memory.usage_in_bytes"), "600").unwrap();
        std::fs::write(group.join("memory.stat"), "total_inactive_file 100").unwrap();
        assert_eq!(control_group_free(old.path(), "5:cpu,cpuacct:/x\n4:memory:/c\n"), Some(500));
    }

    #[test]
    fn the_host_has_memory() {
        assert!(available_host_bytes() > 1 << 20);
    }
}
