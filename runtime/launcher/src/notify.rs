//! Notifies systemd (`sd_notify`): ready, status, watchdog, more time to start, stopping.
//!
//! A notification is a datagram of `NAME=value` lines to a socket that the environment names. Errors do not affect the
//! server and are ignored.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How often a start requests more time, and how much each time.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
const EXTEND_BY: Duration = Duration::from_secs(30);

/// The connection to systemd or a compatible supervisor. Without one, every call does nothing.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Half of the time after which systemd ends a service that sends no watchdog notification.
    watchdog: Option<Duration>,
    /// Until when a start or an end may request more time.
    extend_until: Option<Instant>,
    next: Option<Instant>,
    status: String,
}

impl Notify {
    /// Connects to the socket that the environment names.
    pub(crate) fn from_env() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours).map(Duration::from_micros);
        Self::new(std::env::var_os("NOTIFY_SOCKET").as_deref(), watchdog)
    }

    fn new(address: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let socket = address.and_then(|address| match open(address) {
            Ok(socket) => Some(socket),
            Err(e) => {
                tracing::warn!("NOTIFY_SOCKET={}: systemd will not be told anything: {e}", address.display());
                None
            }
        });
        let watchdog = watchdog.filter(|_| socket.is_some()).map(|limit| limit / 2);
        let mut notify = Notify { socket, watchdog, extend_until: None, next: None, status: String::new() };
        notify.plan(Instant::now());
        notify
    }

    /// For the time `limit` from now on, requests more time than the service's own limit for starting or ending.
    pub(crate) fn working_for(&mut self, limit: Duration) {
        let now = Instant::now();
        self.extend_until = now.checked_add(limit);
        self.extend(now);
        self.plan(now);
    }

    /// The server is up.
    pub(crate) fn ready(&mut self) {
        self.extend_until = None;
        self.send("READY=1");
        self.plan(Instant::now());
    }

    /// The server ends.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub(crate) fn status(&mut self, line: &str) {
        if self.status != line {
            line.clone_into(&mut self.status);
            self.send(&format!("STATUS={}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }

    /// When to call [`Notify::wake`] next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Sends a watchdog notification and requests more time, if due.
    pub(crate) fn wake(&mut self, now: Instant) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
        self.extend(now);
        self.plan(now);
    }

    fn extend(&self, now: Instant) {
        if self.extend_until.is_some_and(|until| now < until) {
            self.send(&format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros()));
        }
    }

    fn plan(&mut self, now: Instant) {
        let extending = self.socket.is_some() && self.extend_until.is_some_and(|until| now < until);
        let every = self.watchdog.into_iter().chain(extending.then_some(EXTEND_EVERY)).min();
        self.next = every.and_then(|every| now.checked_add(every));
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(e) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!("systemd could not be told {text:?}: {e}");
        }
    }
}

fn open(address: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => return Err(std::io::Error::other("expected a path or @ and a name")),
    };
    let socket = UnixDatagram::unbound()?;
    // A supervisor that does not read must not block the launcher.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).expect("set");
        let mut buffer = [0; 512];
        let mut all = Vec::new();
        while let Ok(n) = socket.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into_owned());
        }
        all
    }

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let name = format!("sglang-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("an address");
        let systemd = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).expect("bound")),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&abstract_address).expect("bound")),
        ];
        for (address, socket) in systemd {
            let mut notify = Notify::new(Some(&address), None);
            notify.status("loading\nthe model");
            notify.status("loading\nthe model");
            notify.ready();
            notify.stopping();
            assert_eq!(told(&socket), ["STATUS=loading the model", "READY=1", "STOPPING=1"]);
            assert_eq!(notify.due(), None);
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_looks_and_a_start_asks_for_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("bound");
        let mut notify = Notify::new(Some(path.as_os_str()), Some(Duration::from_secs(20)));
        notify.working_for(Duration::from_secs(60));
        assert_eq!(told(&systemd), ["EXTEND_TIMEOUT_USEC=30000000"]);
        let first = notify.due().expect("planned");
        notify.wake(first - Duration::from_millis(1));
        assert_eq!(told(&systemd), [] as [&str; 0]);
        notify.wake(first);
        assert_eq!(told(&systemd), ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000"]);
        assert_eq!(notify.due(), Some(first + EXTEND_EVERY));
        notify.ready();
        notify.wake(notify.due().expect("planned"));
        assert_eq!(told(&systemd), ["READY=1", "WATCHDOG=1"]);
    }

    #[test]
    fn without_systemd_nothing_is_planned() {
        for address in [None, Some("relative"), Some("vsock:2:1"), Some("/no/such/socket")] {
            let mut notify = Notify::new(address.map(OsStr::new), Some(Duration::from_secs(1)));
            notify.ready();
            notify.working_for(Duration::from_secs(9));
            assert_eq!(notify.due().is_some(), address == Some("/no/such/socket"), "{address:?}");
        }
    }
}
