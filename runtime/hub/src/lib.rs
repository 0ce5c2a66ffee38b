//! Downloads models from the Hugging Face hub: parses references such as `org/name`, selects the files that a server
//! needs, and fetches them into the cache of `huggingface_hub`.
//!
//! The protocol and the cache's layout are those of `huggingface_hub` 2.4: one request for the commit and the files
//! (`api/models/…/revision/…?blobs=true`), one `resolve` request per file, and `blobs`, `snapshots` and `refs` below
//! `models--org--name`. An interrupted download resumes where it stopped, also in the next run.

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
