//! Heartbeats: a memory page that a process shares with the launcher, with a counter for each thread that must not
//! stop. So the launcher detects a stopped or blocked process without its help.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// How often a thread that waits for work wakes up for a heartbeat.
pub const PERIOD: Duration = Duration::from_millis(500);

/// 64-bit words of a row: the counter, then the name.
const ROW_WORDS: usize = 8;
/// Longest name in bytes.
const NAME_BYTES: usize = (ROW_WORDS - 1) * 8;
/// Rows of a page. The first one contains the number of rows in use after it.
const ROWS: usize = 64;
/// Size of the page in bytes.
const PAGE: usize = ROWS * ROW_WORDS * 8;

type Words = [AtomicU64; ROWS * ROW_WORDS];

/// The shared page.
#[derive(Debug)]
pub struct HeartbeatPage {
    map: MmapRaw,
}

impl HeartbeatPage {
    /// Creates a page and its file, which a process inherits as [`crate::HEARTBEAT_FD`].
    ///
    /// # Errors
    /// The system does not have enough memory.
    pub fn create() -> io::Result<(Self, File)> {
        let file = File::from(memfd_create(c"sglang-heartbeat", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(PAGE as u64)?;
        Ok((Self::map(&file)?, file))
    }

    fn map(file: &File) -> io::Result<Self> {
        // With a shorter file, the first access would crash the process.
        if file.metadata()?.len() < PAGE as u64 {
            return Err(io::Error::other("the page of heartbeats is too short"));
        }
        Ok(HeartbeatPage { map: MmapOptions::new().len(PAGE).map_raw(file)? })
    }

    fn words(&self) -> &Words {
        // SAFETY: the map has PAGE bytes, is page-aligned, lives as long as `self`, and all processes access it
        // atomically. Any bits are a valid u64.
        unsafe { &*self.map.as_mut_ptr().cast::<Words>() }
    }

    /// Every registered thread, with its number of heartbeats so far.
    pub fn read(&self) -> Vec<(String, u64)> {
        let mut rows = self.words().chunks_exact(ROW_WORDS);
        let used = rows.next().and_then(|head| head.first()).map_or(0, |word| word.load(Ordering::Acquire));
        rows.take(usize::try_from(used).unwrap_or(usize::MAX)).filter_map(read_row).collect()
    }

    /// Reserves a row for a thread; `None` if all are in use.
    fn enter(&'static self, name: &str) -> Option<&'static AtomicU64> {
        let mut rows = self.words().chunks_exact(ROW_WORDS);
        let used = rows.next()?.first()?.fetch_add(1, Ordering::AcqRel);
        let (counter, words) = rows.nth(usize::try_from(used).ok()?)?.split_first()?;
        for (word, bytes) in words.iter().zip(name.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
        // Written last: a reader that sees a counter other than 0 also sees the name.
        counter.store(1, Ordering::Release);
        Some(counter)
    }
}

/// Name and counter; `None` while the row is being initialized.
fn read_row(row: &[AtomicU64]) -> Option<(String, u64)> {
    let (counter, words) = row.split_first()?;
    let count = counter.load(Ordering::Acquire);
    let name: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
    let name: Vec<u8> = name.into_iter().take(NAME_BYTES).take_while(|byte| *byte != 0).collect();
    (count != 0).then(|| (String::from_utf8_lossy(&name).into_owned(), count))
}

/// The page of this process; `None` without a launcher.
fn inherited() -> Option<&'static HeartbeatPage> {
    static PAGE_OF_PROCESS: OnceLock<Option<HeartbeatPage>> = OnceLock::new();
    let page = PAGE_OF_PROCESS.get_or_init(|| {
        let file = File::from(crate::inherited::take(crate::HEARTBEAT_FD)?);
        HeartbeatPage::map(&file).inspect_err(|e| tracing::warn!("No signs of life are shown: {e}")).ok()
    });
    page.as_ref()
}

/// Heartbeat of one thread. Copies belong to the same thread. Without a launcher, every call does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heartbeat {
    counter: Option<&'static AtomicU64>,
}

impl Heartbeat {
    /// Registers a thread. From now on it must call [`Heartbeat::beat`] regularly; after `--watchdog-timeout` without,
    /// the launcher considers the process hung. `name` appears in its message, limited to 56 bytes.
    pub fn of_thread(name: &str) -> Self {
        Heartbeat { counter: inherited().and_then(|page| page.enter(name)) }
    }

    /// Counts a heartbeat. It costs one addition.
    pub fn beat(&self) {
        if let Some(counter) = self.counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long the thread may sleep before the next heartbeat; `None` if no launcher watches it.
    pub fn period(&self) -> Option<Duration> {
        self.counter.map(|_| PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_page_see_the_same_beats() {
        let (launcher, file) = HeartbeatPage::create().expect("a page");
        assert_eq!(launcher.read(), []);
        // Map it like another process does.
        let page: &'static HeartbeatPage = Box::leak(Box::new(HeartbeatPage::map(&file).expect("mapped")));
        let long = "x".repeat(100);
        let beats = ["event loop", &long].map(|name| Heartbeat { counter: page.enter(name) });
        beats[0].beat();
        beats[0].beat();
        assert_eq!(launcher.read(), [("event loop".to_owned(), 3), ("x".repeat(NAME_BYTES), 1)]);
        assert_eq!(beats[0].period(), Some(PERIOD));
        for _ in 0..ROWS {
            page.enter("one of many");
        }
        assert!(page.enter("one too many").is_none());
        assert_eq!(launcher.read().len(), ROWS - 1);
    }

    #[test]
    fn a_page_that_is_too_short_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(HeartbeatPage::map(&file).is_err());
    }

    #[test]
    fn without_a_launcher_nothing_happens() {
        let heart = Heartbeat::of_thread("x");
        heart.beat();
        assert_eq!(heart.period(), None);
    }
}
