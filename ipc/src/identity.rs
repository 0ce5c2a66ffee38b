//! Who a process is on its links.

use std::path::Path;

use sglang_proto::messages::Hello;
use sglang_proto::wire::Role;

use crate::IpcError;
use crate::life::Life;

/// The number that the launcher gives a life.
const LIFE: &str = "SGLANG_LIFE";

/// Role and life of this process.
#[derive(Debug)]
pub struct Identity {
    /// What it does.
    pub role: Role,
    /// Number of this life: a later life has a larger number.
    pub life: u64,
    /// Facts for the peers, sent with the hello.
    pub info: serde_json::Value,
    /// Keeps another life out.
    _life: Option<Life>,
}

impl Identity {
    /// The identity of a process that starts now with its sockets in `dir`. Its life has the number that the launcher gave
    /// it (`SGLANG_LIFE`), or the one after the last in this folder, whichever is larger. Waits some seconds for the end of
    /// an earlier process in this role.
    ///
    /// # Errors
    /// The folder belongs to someone else or cannot be used, another process has the role, or `SGLANG_LIFE` is no number.
    pub fn begin(role: Role, dir: &Path, info: serde_json::Value) -> Result<Self, IpcError> {
        let least = match std::env::var(LIFE) {
            Ok(text) => text.parse().map_err(|_| IpcError::LifeNumber(text))?,
            Err(_) => 0,
        };
        let life = Life::begin(role, dir, least)?;
        Ok(Self { role, life: life.number, info, _life: Some(life) })
    }

    /// An identity with a number that the caller answers for.
    pub fn of_life(role: Role, life: u64, info: serde_json::Value) -> Self {
        Self { role, life, info, _life: None }
    }

    /// What this life says of itself.
    pub(crate) fn hello(&self, epoch: u64, applied: u64) -> Hello {
        Hello { epoch, applied, info: self.info.clone() }
    }
}
