//! Runs work on one-off threads and reports the results to the loop.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Receives reports of threads.
pub struct Reporter<T>(Arc<dyn Fn(T) + Send + Sync>);

impl<T> Clone for Reporter<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: 'static> Reporter<T> {
    /// Calls `take` with every report, on the reporting thread.
    pub fn new(take: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Reports.
    pub fn report(&self, report: T) {
        (self.0)(report);
    }

    /// Runs `work` on a thread called `name`. `report_of` turns its result, or the text of its panic, into a report.
    ///
    /// # Errors
    /// The system cannot start a thread; then nothing runs and nothing is reported.
    pub fn spawn<R>(
        &self,
        name: &str,
        work: impl FnOnce() -> R + Send + 'static,
        report_of: impl FnOnce(Result<R, String>) -> T + Send + 'static,
    ) -> std::io::Result<()> {
        let reporter = self.clone();
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            reporter.report(report_of(result.map_err(|cause| panic_text(cause.as_ref()))));
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }
}

/// The text of a panic in the model's code.
pub fn panic_text(cause: &(dyn Any + Send)) -> String {
    let text = cause
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    format!("the model panicked: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_thread_is_reported_and_so_is_its_panic() {
        let (sender, reports) = crossbeam_channel::unbounded();
        let reporter = Reporter::new(move |report: Result<u32, String>| sender.send(report).unwrap());
        reporter.spawn("good", || 7, |result| result).unwrap();
        assert_eq!(reports.recv().unwrap(), Ok(7));
        reporter.spawn("bad", || panic!("no disk"), |result: Result<u32, String>| result).unwrap();
        assert_eq!(reports.recv().unwrap(), Err("the model panicked: no disk".to_owned()));
    }
}
