//! Captures the log of a test process.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Captured log lines.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Starts capturing this process's log.
    pub fn start() -> Self {
        let lines = Self::default();
        tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).without_time().init();
        lines
    }

    /// Everything captured so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    /// Forgets what was logged so far.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// The lines that contain `part`; waits until there are any.
    pub async fn with(&self, part: &str) -> Vec<String> {
        for _ in 0..300 {
            let text = self.text();
            let found: Vec<String> = text.lines().filter(|l| l.contains(part)).map(str::to_owned).collect();
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {part:?} in\n{}", String::from_utf8_lossy(&self.0.lock()));
    }
}
