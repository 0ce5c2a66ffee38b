//! Resolves `--model-path` and `--tokenizer-path` to local files.

use std::path::{Path, PathBuf};

use sglang_server_args::ServerArgs;

use crate::error::HubError;
use crate::part::Part;
use crate::progress::Progress;
use crate::reference::HubReference;
use crate::settings::HubSettings;
use crate::snapshot::Hub;

/// Local paths of the files that arguments name on the hub; `None` for arguments that are absent or already local
/// paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubFiles {
    /// Files of `--model-path`.
    pub model: Option<PathBuf>,
    /// Files of `--tokenizer-path`.
    pub tokenizer: Option<PathBuf>,
}

/// The hub repository that a path refers to; `None` if it is an existing file or folder.
pub fn reference_of(path: &str) -> Option<HubReference> {
    if Path::new(path).exists() { None } else { HubReference::parse(path) }
}

impl HubFiles {
    /// Fetches the files that the arguments name and the cache lacks.
    ///
    /// # Errors
    /// [`HubError`] with a one-line message.
    pub fn fetch(
        args: &ServerArgs,
        settings: &HubSettings,
        progress: &dyn Progress,
    ) -> Result<Self, HubError> {
        let hub = Hub::new(settings.clone());
        Self::of(args, |reference, revision, part| hub.fetch(reference, revision, part, progress))
    }

    /// Finds the files that the arguments name in the cache, without network access.
    ///
    /// # Errors
    /// [`HubError::NotCached`], which says what is missing.
    pub fn cached(args: &ServerArgs, settings: &HubSettings) -> Result<Self, HubError> {
        let hub = Hub::new(settings.clone());
        Self::of(args, |reference, revision, part| hub.cached(reference, revision, part))
    }

    fn of(
        args: &ServerArgs,
        find: impl Fn(&HubReference, Option<&str>, &Part) -> Result<PathBuf, HubError>,
    ) -> Result<Self, HubError> {
        let revision = args.revision.as_deref();
        let model = reference_of(&args.model_path);
        let tokenizer = args.tokenizer_path.as_deref().and_then(reference_of);
        let part = Part::Model { load_format: args.load_format.clone() };
        let model_files = model.as_ref().map(|r| find(r, revision, &part)).transpose()?;
        // `--revision` belongs to the repository of the model.
        let same = |r: &HubReference| model.as_ref().is_some_and(|m| m.repository == r.repository);
        let tokenizer = tokenizer
            .filter(|_| !args.skip_tokenizer_init)
            .map(|r| find(&r, revision.filter(|_| same(&r)), &Part::Tokenizer))
            .transpose()?;
        Ok(Self { model: model_files, tokenizer })
    }

    /// Writes these paths into the arguments.
    pub fn enter(self, args: &mut ServerArgs) {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        if let Some(model) = self.model {
            args.model_files = Some(text(model));
        }
        if let Some(tokenizer) = self.tokenizer {
            args.tokenizer_files = Some(text(tokenizer));
        }
    }
}

/// For a process that is started without the launcher: writes the cached files of a hub model into the arguments. The
/// launcher does this itself for its processes.
///
/// # Errors
/// [`HubError::NotCached`]: only the launcher fetches, so that processes do not race.
pub fn use_cached_files(args: &mut ServerArgs) -> Result<(), HubError> {
    if args.model_files.is_none() && args.tokenizer_files.is_none() {
        let settings = HubSettings::from_env().in_download_dir(args.download_dir.as_deref());
        HubFiles::cached(args, &settings)?.enter(args);
    }
    Ok(())
}
