//! Notifications to systemd, received by a datagram socket.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::plan::{Launched, Plan, UP};

struct Systemd {
    socket: UnixDatagram,
    address: String,
    told: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Systemd {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        Systemd { socket, address: path.to_str().expect("utf-8").to_owned(), told: Vec::new(), _dir: dir }
    }

    fn start(&self, children: [&str; 3], more: &[(&str, &str)]) -> Launched {
        let variables = &[&[("NOTIFY_SOCKET", self.address.as_str())], more].concat();
        Plan { variables, ..Plan::of(children) }.start()
    }

    /// Waits for a message that starts with `start`.
    fn wait_for(&mut self, start: &str) {
        let mut buffer = [0; 1024];
        loop {
            let n = self.socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{start}: {e}: {:?}", self.told));
            let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into_owned();
            let found = text.starts_with(start);
            self.told.push(text);
            if found {
                return;
            }
        }
    }
}

#[test]
fn a_run_is_told_from_its_start_to_its_end() {
    let mut systemd = Systemd::new();
    let mut run = systemd.start(["ready", "obeys", "drains"], &[("WATCHDOG_USEC", "400000")]);
    systemd.wait_for("EXTEND_TIMEOUT_USEC=");
    systemd.wait_for("READY=1");
    systemd.wait_for("STATUS=Serving");
    let since = Instant::now();
    for _ in 0..3 {
        systemd.wait_for("WATCHDOG=1");
    }
    assert!(since.elapsed() < Duration::from_millis(900), "{:?}", since.elapsed());
    run.wait_for(UP);
    let environment =
        std::fs::read(format!("/proc/{}/environ", run.life(1).expect("alive"))).expect("readable");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG_USEC"));
    run.signal_life(1, Signal::SIGKILL);
    systemd.wait_for("STATUS=Starting the scheduler again, which was killed by SIGKILL");
    systemd.wait_for("STATUS=Serving");
    run.signal(Signal::SIGTERM);
    systemd.wait_for("STOPPING=1");
    systemd.wait_for("EXTEND_TIMEOUT_USEC=");
    assert_eq!(run.end().0.code(), Some(0));
}

#[test]
fn a_start_that_fails_is_never_called_ready() {
    let mut systemd = Systemd::new();
    let run = systemd.start(["fails", "ready", "ready"], &[("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "1000")]);
    assert_eq!(run.end().0.code(), Some(1));
    systemd.wait_for("STOPPING=1");
    assert!(!systemd.told.iter().any(|text| text == "READY=1" || text == "WATCHDOG=1"), "{:?}", systemd.told);
}
