//! What a receiver knows about its senders: the current life of each role, and its next sequence number.

use std::collections::BTreeMap;

use sglang_proto::wire::{Origin, Role};

#[derive(Debug)]
struct Peer {
    life: u64,
    next_seq: u64,
}

/// Verdict on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// From an earlier life of its role, or already received.
    Stale,
    /// New.
    Take {
        /// Whether this is the first frame of this role.
        first: bool,
        /// Whether earlier frames came from an earlier life of this role.
        restarted: bool,
        /// Number of frames of this life before this one that never arrived.
        lost: u64,
    },
}

/// The current senders of one receiving socket. Each role is tracked separately.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_role: BTreeMap<Role, Peer>,
}

impl Peers {
    /// Returns the verdict on a frame, and updates the state of its sender.
    pub fn judge(&mut self, origin: Origin) -> Verdict {
        let known = self.by_role.get(&origin.role);
        let expected = match known {
            Some(peer) if origin.life < peer.life => return Verdict::Stale,
            Some(peer) if origin.life == peer.life => peer.next_seq,
            _ => 0,
        };
        if origin.seq < expected {
            return Verdict::Stale;
        }
        let first = known.is_none();
        let restarted = known.is_some_and(|peer| peer.life < origin.life);
        let peer = Peer { life: origin.life, next_seq: origin.seq.saturating_add(1) };
        self.by_role.insert(origin.role, peer);
        Verdict::Take { first, restarted, lost: origin.seq - expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(role: Role, life: u64, seq: u64) -> Origin {
        Origin { role, life, seq }
    }

    const NEXT: Verdict = Verdict::Take { first: false, restarted: false, lost: 0 };

    #[test]
    fn a_new_life_is_seen_and_the_old_one_is_shut_out() {
        let mut peers = Peers::default();
        let first = Verdict::Take { first: true, restarted: false, lost: 0 };
        assert_eq!(peers.judge(frame(Role::Scheduler, 10, 0)), first);
        assert_eq!(peers.judge(frame(Role::Scheduler, 10, 1)), NEXT);
        let restarted = Verdict::Take { first: false, restarted: true, lost: 0 };
        assert_eq!(peers.judge(frame(Role::Scheduler, 11, 0)), restarted);
        assert_eq!(peers.judge(frame(Role::Scheduler, 10, 2)), Verdict::Stale);
        assert_eq!(peers.judge(frame(Role::Scheduler, 11, 1)), NEXT);
    }

    #[test]
    fn roles_that_share_a_socket_are_judged_apart() {
        let mut peers = Peers::default();
        peers.judge(frame(Role::Scheduler, 1, 0));
        peers.judge(frame(Role::Detokenizer, 100, 0));
        peers.judge(frame(Role::Scheduler, 2, 0));
        assert_eq!(peers.judge(frame(Role::Scheduler, 1, 1)), Verdict::Stale, "whatever the other's number");
        assert_eq!(peers.judge(frame(Role::Scheduler, 2, 1)), NEXT);
        assert_eq!(peers.judge(frame(Role::Detokenizer, 100, 1)), NEXT);
    }

    #[test]
    fn what_is_missing_is_counted_also_before_the_first_frame_and_repeats_are_dropped() {
        let mut peers = Peers::default();
        let late = Verdict::Take { first: true, restarted: false, lost: 4 };
        assert_eq!(peers.judge(frame(Role::Detokenizer, 5, 4)), late);
        assert_eq!(peers.judge(frame(Role::Detokenizer, 5, 4)), Verdict::Stale);
        let gap = Verdict::Take { first: false, restarted: false, lost: 2 };
        assert_eq!(peers.judge(frame(Role::Detokenizer, 5, 7)), gap);
        let next_life = Verdict::Take { first: false, restarted: true, lost: 1 };
        assert_eq!(peers.judge(frame(Role::Detokenizer, 6, 1)), next_life);
    }
}
