//! Identity of a process on its links.

use std::path::Path;

use sglang_proto::messages::Hello;
use sglang_proto::wire::Role;

use crate::IpcError;
use crate::life::Life;

/// Environment variable with the number of this life, set by the launcher.
const LIFE: &str = "SGLANG_LIFE";

/// Role and life of this process. A life is one run of a process, from its start to its end.
#[derive(Debug)]
pub struct Identity {
    /// Role of the process.
    pub role: Role,
    /// Number of this life: a later life has a larger number.
    pub life: u64,
    /// Facts about the process for its peers, sent with the hello.
    pub info: serde_json::Value,
    /// Holds the lock that prevents a second life of the role.
    _life: Option<Life>,
}

impl Identity {
    /// Creates the identity of a process that starts now, with its sockets in `dir`. The number of its life is
    /// `SGLANG_LIFE`, or the last number in this folder plus one, whichever is larger. Waits up to five seconds for an
    /// earlier process with this role to end.
    ///
    /// # Errors
    /// The folder belongs to another user or is unusable, another process has the role, or `SGLANG_LIFE` is not a
    /// number.
    pub fn begin(role: Role, dir: &Path, info: serde_json::Value) -> Result<Self, IpcError> {
        let least = match std::env::var(LIFE) {
            Ok(text) => text.parse().map_err(|_| IpcError::LifeNumber(text))?,
            Err(_) => 0,
        };
        let life = Life::begin(role, dir, least)?;
        Ok(Self { role, life: life.number, info, _life: Some(life) })
    }

    /// An identity with a given life number; the caller ensures that it is larger than all earlier ones.
    pub fn of_life(role: Role, life: u64, info: serde_json::Value) -> Self {
        Self { role, life, info, _life: None }
    }

    /// The hello of this life.
    pub(crate) fn hello(&self, epoch: u64, applied: u64) -> Hello {
        Hello { epoch, applied, info: self.info.clone() }
    }
}
