//! Models of the Hugging Face hub: what a reference such as `org/name` means, which files of the repository a server
//! needs, and how they come into the cache that `huggingface_hub` keeps.
//!
//! The protocol and the cache's layout are those of `huggingface_hub` 2.4: one request for the commit and the files
//! (`api/models/…/revision/…?blobs=true`), one `resolve` request per file, and `blobs`, `snapshots` and `refs` below
//! `models--org--name`. A download that breaks goes on where it stopped, in the same run and in the next.

mod cache;
mod client;
mod download;
mod error;
mod local;
mod part;
mod progress;
mod reference;
mod repository;
mod select;
mod settings;
mod snapshot;

pub use error::HubError;
pub use local::{HubFiles, reference_of, use_cached_files};
pub use part::Part;
pub use progress::{Progress, Silent, TerminalProgress};
pub use reference::{FileChoice, HubReference};
pub use settings::HubSettings;
pub use snapshot::Hub;
