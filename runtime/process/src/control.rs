//! What the launcher tells a process while it runs, over a pipe whose end of file means that the launcher is gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::peer::{Peer, PeerNews};

/// A word of the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlEvent {
    /// The warm-up request has passed, or none is wanted: the server is up.
    Up,
    /// Take no new work, finish what is running, then end.
    Drain,
    /// Every request has been answered: end.
    End,
    /// Another process has ended, is silent or works.
    Peer(Peer, PeerNews),
    /// The launcher has ended without a word. The process is to end too.
    ParentGone,
}

/// Starts a thread that calls `on_event` for every word until the launcher is gone. Returns whether there is a
/// launcher; without one, nothing is started. Call it once.
///
/// # Errors
/// When the thread cannot be started.
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

/// Calls `on_event` for every line, and with [`ControlEvent::ParentGone`] at the end.
fn read_events(pipe: impl Read, mut on_event: impl FnMut(ControlEvent)) {
    for line in BufReader::with_capacity(256, pipe).lines() {
        let Ok(line) = line else { break };
        match (line.as_str(), PeerNews::read(&line)) {
            (_, Some((peer, news))) => on_event(ControlEvent::Peer(peer, news)),
            ("up", _) => on_event(ControlEvent::Up),
            ("drain", _) => on_event(ControlEvent::Drain),
            ("end", _) => on_event(ControlEvent::End),
            // A newer launcher may say more than this version understands.
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
