//! What a receiver knows of its senders: which life of each role is current, and where its stream stands.

use std::collections::HashMap;

use sglang_proto::messages::Hello;
use sglang_proto::wire::Trailer;

#[derive(Debug)]
struct Peer {
    incarnation: u64,
    next_seq: u64,
}

/// Verdict on a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In order, or from a sender without sequence numbers.
    Accept,
    /// Right sender, but this many frames before it are missing.
    AcceptAfterGap(u64),
    /// From an older life, or seen before.
    Stale,
}

/// The current senders of one receiving socket, by role.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_role: HashMap<String, Peer>,
}

impl Peers {
    /// Takes note of a hello. Returns whether it announces a newer life than the one known before, or `None` when it
    /// comes from an older life.
    pub(crate) fn hello(&mut self, hello: &Hello, trailer: Option<Trailer>) -> Option<bool> {
        let next_seq = trailer.map_or(0, |t| t.seq + 1);
        match self.by_role.get_mut(&hello.role) {
            Some(known) if known.incarnation > hello.incarnation => None,
            Some(known) if known.incarnation == hello.incarnation => {
                known.next_seq = known.next_seq.max(next_seq);
                Some(false)
            }
            known => {
                let restarted = known.is_some();
                self.by_role.insert(hello.role.clone(), Peer { incarnation: hello.incarnation, next_seq });
                Some(restarted)
            }
        }
    }

    /// Judges a frame by its trailer. A frame without one (a Python peer) is taken as it is; a frame of a life that never
    /// said hello too, because its hello may be under way on a slower link.
    pub(crate) fn judge(&mut self, trailer: Option<Trailer>) -> Verdict {
        let Some(Trailer { incarnation, seq }) = trailer else { return Verdict::Accept };
        let Some(peer) = self.by_role.values_mut().find(|peer| peer.incarnation == incarnation) else {
            // Lives are numbered by their start time: older than every known peer means a replaced one.
            let newest = self.by_role.values().map(|p| p.incarnation).min().unwrap_or(0);
            return if incarnation < newest { Verdict::Stale } else { Verdict::Accept };
        };
        if seq < peer.next_seq {
            return Verdict::Stale;
        }
        let gap = seq - peer.next_seq;
        peer.next_seq = seq + 1;
        if gap == 0 { Verdict::Accept } else { Verdict::AcceptAfterGap(gap) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(role: &str, incarnation: u64) -> Hello {
        Hello {
            rid: None,
            http_worker_ipc: None,
            role: role.into(),
            incarnation,
            run_id: String::new(),
            info: serde_json::Value::Null,
        }
    }

    fn frame(incarnation: u64, seq: u64) -> Option<Trailer> {
        Some(Trailer { incarnation, seq })
    }

    #[test]
    fn a_new_life_is_seen_and_the_old_one_is_shut_out() {
        let mut peers = Peers::default();
        assert_eq!(peers.hello(&hello("scheduler", 10), frame(10, 0)), Some(false));
        assert_eq!(peers.judge(frame(10, 1)), Verdict::Accept);
        assert_eq!(peers.hello(&hello("scheduler", 20), frame(20, 0)), Some(true));
        assert_eq!(peers.judge(frame(10, 2)), Verdict::Stale);
        assert_eq!(peers.judge(frame(20, 1)), Verdict::Accept);
        assert_eq!(peers.hello(&hello("scheduler", 10), frame(10, 3)), None);
    }

    #[test]
    fn gaps_are_counted_and_repeats_dropped() {
        let mut peers = Peers::default();
        peers.hello(&hello("detokenizer", 5), frame(5, 0));
        assert_eq!(peers.judge(frame(5, 4)), Verdict::AcceptAfterGap(3));
        assert_eq!(peers.judge(frame(5, 4)), Verdict::Stale);
        assert_eq!(peers.judge(None), Verdict::Accept);
    }
}
