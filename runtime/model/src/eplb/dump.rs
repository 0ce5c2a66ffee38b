//! Writes the files of a dump: a `.pt` file for `torch.load`, and beside it a `.csv` file with all counts.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::torch_save::{PyObject, save};
use crate::error::{ModelError, Result};

/// File name of a dump written now, without extension.
pub(super) fn stem(rank: Option<u32>) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    let rank = rank.map(|rank| format!("_{rank}")).unwrap_or_default();
    format!("expert_distribution_recorder_{now:?}{rank}")
}

/// Writes both files, and creates the folder if necessary. A partly written file never has the final name.
pub(super) fn write(dir: &Path, stem: &str, object: &PyObject<'_>, totals: &[Vec<i64>]) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let path = dir.join(format!("{stem}.pt"));
    whole_file(&path, |out| save(object, out))?;
    whole_file(&dir.join(format!("{stem}.csv")), |out| table(totals, out))?;
    Ok(path)
}

/// Writes layers, experts and counts; skips layers without routed tokens.
fn table(totals: &[Vec<i64>], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "layer_id,expert_id,count")?;
    for (layer, counts) in totals.iter().enumerate().filter(|(_, counts)| counts.iter().any(|n| *n > 0)) {
        for (expert, count) in counts.iter().enumerate() {
            writeln!(out, "{layer},{expert},{count}")?;
        }
    }
    out.flush()
}

fn whole_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = File::create(&partial)
        .and_then(|file| write(&mut BufWriter::new(file)))
        .and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|e| {
        // The partial file may not exist at all.
        let _ = std::fs::remove_file(&partial);
        failed(path, e)
    })
}

fn failed(path: &Path, source: std::io::Error) -> ModelError {
    ModelError::Io { file: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_have_one_name_in_a_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/yet");
        let totals = [vec![0, 0], vec![3, 0]];
        let path = write(&dir, &stem(Some(0)), &PyObject::None, &totals).unwrap();
        let csv = std::fs::read_to_string(path.with_extension("csv")).unwrap();
        assert_eq!(csv, "layer_id,expert_id,count\n1,0,3\n1,1,0\n");
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("expert_distribution_recorder_1"));
        assert!(path.to_str().unwrap().ends_with("_0.pt"));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(&file.path().join("in"), "x", &PyObject::None, &[]).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
}
