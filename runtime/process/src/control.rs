//! Control words from the launcher to a running process, over a pipe. End of file means that the launcher has ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::peer::{Peer, PeerNews};

/// A control word of the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlEvent {
    /// The server is up: the warm-up request has succeeded or is disabled.
    Up,
    /// Accept no new work, finish running requests, then end.
    Drain,
    /// All requests have been answered: end.
    End,
    /// Another process has ended, is silent or is ready.
    Peer(Peer, PeerNews),
    /// The launcher has ended without a word. The process must end too.
    ParentGone,
}

/// Starts a thread that calls `on_event` for every word until the launcher ends. Without a launcher, starts nothing and
/// returns `false`. Call it once.
///
/// # Errors
/// The thread cannot be started.
pub fn watch(on_event: impl FnMut(ControlEvent) + Send + 'static) -> std::io::Result<bool> {
    let Some(pipe) = crate::inherited::take(crate::CONTROL_FD) else {
        return Ok(false);
    };
    std::thread::Builder::new()
        .name("control".to_owned())
        .stack_size(128 << 10)
        .spawn(move || read_events(File::from(pipe), on_event))?;
    Ok(true)
}

/// Calls `on_event` for every line, and at the end with [`ControlEvent::ParentGone`].
fn read_events(pipe: impl Read, mut on_event: impl FnMut(ControlEvent)) {
    for line in BufReader::with_capacity(256, pipe).lines() {
        let Ok(line) = line else { break };
        match (line.as_str(), PeerNews::read(&line)) {
            (_, Some((peer, news))) => on_event(ControlEvent::Peer(peer, news)),
            ("up", _) => on_event(ControlEvent::Up),
            ("drain", _) => on_event(ControlEvent::Drain),
            ("end", _) => on_event(ControlEvent::End),
            // A newer launcher may send words that this version does not know.
            (other, _) => tracing::debug!("unknown control word {other:?}"),
        }
    }
    on_event(ControlEvent::ParentGone);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_events_and_end_of_file_means_the_launcher_is_gone() {
        let mut events = Vec::new();
        let words = &b"up\nhello\npeer-down scheduler 4\npeer-down stranger 4\ndrain\nend\n"[..];
        read_events(words, |event| events.push(event));
        assert_eq!(
            events,
            [
                ControlEvent::Up,
                ControlEvent::Peer(Peer::Scheduler, PeerNews::Down(4)),
                ControlEvent::Drain,
                ControlEvent::End,
                ControlEvent::ParentGone
            ]
        );
    }
}
