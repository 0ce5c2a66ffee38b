//! The processes of a server, as named in control words.

use std::fmt;

/// A process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Runs the model.
    Scheduler,
    /// Turns token ids into text.
    Detokenizer,
    /// Serves HTTP.
    TokenizerManager,
}

impl Peer {
    /// All processes in the order in which the launcher starts them: the scheduler first, because it needs most time.
    pub const ALL: [Peer; 3] = [Peer::Scheduler, Peer::Detokenizer, Peer::TokenizerManager];

    /// Name in log lines, control words and program names.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Scheduler => "scheduler",
            Peer::Detokenizer => "detokenizer",
            Peer::TokenizerManager => "tokenizer-manager",
        }
    }

    /// The process with this name.
    pub fn by_name(name: &str) -> Option<Peer> {
        Peer::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the launcher reports about another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerNews {
    /// The life with this number has ended, and no new one is ready. Connections to it are broken.
    Down(u64),
    /// The life with this number has had no heartbeat for some seconds: new requests to it may take long.
    Silent(u64),
    /// The life with this number is ready, for the first time or again.
    Up(u64),
}

impl PeerNews {
    /// The line of the control pipe, without line end.
    pub fn word(self, peer: Peer) -> String {
        let (word, life) = match self {
            PeerNews::Down(life) => ("peer-down", life),
            PeerNews::Silent(life) => ("peer-silent", life),
            PeerNews::Up(life) => ("peer-up", life),
        };
        format!("{word} {peer} {life}")
    }

    /// Parses such a line.
    pub(crate) fn read(line: &str) -> Option<(Peer, PeerNews)> {
        let mut parts = line.split(' ');
        let (word, peer, life) = (parts.next()?, Peer::by_name(parts.next()?)?, parts.next()?.parse().ok()?);
        let news = match word {
            "peer-down" => PeerNews::Down(life),
            "peer-silent" => PeerNews::Silent(life),
            "peer-up" => PeerNews::Up(life),
            _ => return None,
        };
        Some((peer, news))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_life_of_whom() {
        for peer in Peer::ALL {
            for news in [PeerNews::Down(7), PeerNews::Silent(u64::MAX), PeerNews::Up(1)] {
                assert_eq!(PeerNews::read(&news.word(peer)), Some((peer, news)));
            }
        }
        for wrong in [
            "peer-down",
            "peer-down scheduler",
            "peer-down stranger 1",
            "peer-down scheduler x",
            "x scheduler 1",
            "",
        ] {
            assert_eq!(PeerNews::read(wrong), None, "{wrong}");
        }
    }
}
