//! Loads libtorch's CUDA library at run time, so that a binary built without CUDA can use a GPU.
//!
//! `libtorch_cuda.so` registers its kernels with the dispatcher of the already loaded `libtorch_cpu.so`. This must
//! happen before any code asks libtorch about CUDA, because libtorch caches the answer.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const LIBRARY: &str = "libtorch_cuda.so";
/// Version of libtorch that the bindings were built for.
const TORCH_VERSION: &str = "2.11.";

/// Loads the library once per process and returns the number of GPUs.
///
/// # Errors
/// Says what is missing: the driver, the library (with the searched folders), a dependency of it, or a GPU.
pub fn load() -> Result<i64, String> {
    static LOADED: OnceLock<Result<i64, String>> = OnceLock::new();
    LOADED.get_or_init(load_once).clone()
}

fn load_once() -> Result<i64, String> {
    open(Path::new("libcuda.so.1"), libc::RTLD_NOW | libc::RTLD_GLOBAL)
        .map_err(|e| format!("the NVIDIA driver is not installed ({e})"))?;
    let folders = search_path();
    let Some(library) = folders.iter().map(|f| f.join(LIBRARY)).find(|p| p.is_file()) else {
        let searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        return Err(format!(
            "{LIBRARY} of torch 2.11 was not found in {}; set SGLANG_TORCH_LIB to the folder that holds it \
             (torch/lib of a Python environment, or run scripts/setup --cuda)",
            searched.join(", ")
        ));
    };
    check_version(&library)?;
    open(&library, libc::RTLD_NOW | libc::RTLD_GLOBAL)
        .map_err(|e| format!("{} cannot be loaded: {e}", library.display()))?;
    match tch::Cuda::device_count() {
        0 => Err(format!("{} is loaded but sees no GPU", library.display())),
        n => Ok(n),
    }
}

/// Opens NVRTC, CUDA's run-time compiler, once per process, so that later loads find it by name. It comes with torch;
/// without torch, `SGLANG_NVRTC_LIB` names its folder. Needs no GPU.
///
/// # Errors
/// Names the searched folders.
pub fn load_nvrtc() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(load_nvrtc_once).clone()
}

fn load_nvrtc_once() -> Result<(), String> {
    #[cfg(test)]
    let named = Some(tests::nvrtc_folder());
    #[cfg(not(test))]
    let named = std::env::var_os("SGLANG_NVRTC_LIB").map(PathBuf::from);
    // NVIDIA's wheels, which torch's wheel depends on, are installed beside it.
    let near = |f: PathBuf| [f.join("../../nvidia/cu13/lib"), f];
    let folders: Vec<PathBuf> = named.into_iter().chain(search_path().into_iter().flat_map(near)).collect();
    for folder in &folders {
        let library = folder.join("libnvrtc.so.13");
        if !library.is_file() {
            continue;
        }
        // NVRTC loads its second library by name only.
        let builtins = folder.join("libnvrtc-builtins.so.13.0");
        open(&builtins, libc::RTLD_NOW | libc::RTLD_GLOBAL)
            .and_then(|()| open(&library, libc::RTLD_NOW | libc::RTLD_GLOBAL))
            .map_err(|e| format!("{} cannot be loaded: {e}", library.display()))?;
        return Ok(());
    }
    let searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    Err(format!("libnvrtc.so.13 was not found in {}", searched.join(", ")))
}

/// Free bytes on a GPU, from the CUDA runtime that libtorch uses; `None` if the query fails.
pub fn free_bytes(index: usize) -> Option<u64> {
    // The runtime reports the thread's current device, and creating a tensor does not change that permanently.
    if index > 0 {
        set_device(index)?;
    }
    let name = c"cudaMemGetInfo";
    // SAFETY: `name` is NUL-terminated; the default scope is always valid to search.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: `cudaMemGetInfo` has had this signature in every CUDA version.
    let function: extern "C" fn(*mut usize, *mut usize) -> libc::c_int =
        unsafe { std::mem::transmute(symbol) };
    let (mut free, mut total) = (0, 0);
    (function(&mut free, &mut total) == 0).then_some(free as u64)
}

/// Makes a GPU the thread's current device.
fn set_device(index: usize) -> Option<()> {
    let name = c"cudaSetDevice";
    // SAFETY: as in `free_bytes`.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: `cudaSetDevice` has had this signature in every CUDA version.
    let function: extern "C" fn(libc::c_int) -> libc::c_int = unsafe { std::mem::transmute(symbol) };
    (function(libc::c_int::try_from(index).ok()?) == 0).then_some(())
}

/// Folders to search, most specific first: `SGLANG_TORCH_LIB`, `LIBTORCH/lib`, the folder of the `libtorch_cpu.so` in
/// use, `LD_LIBRARY_PATH`, the active Python environment.
fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(std::env::var_os("SGLANG_TORCH_LIB").map(PathBuf::from));
    folders.extend(std::env::var_os("LIBTORCH").map(|p| PathBuf::from(p).join("lib")));
    folders.extend(torch_cpu_folder());
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        folders.extend(std::env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()));
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from)
        && let Ok(versions) = std::fs::read_dir(environment.join("lib"))
    {
        folders.extend(versions.flatten().map(|v| v.path().join("site-packages/torch/lib")));
    }
    let mut seen = std::collections::HashSet::new();
    folders.retain(|f| seen.insert(f.clone()));
    folders
}

/// Folder of the libtorch that this process has loaded.
fn torch_cpu_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|l| l.ends_with("/libtorch_cpu.so"))?;
    let path = line.get(line.find('/')?..)?;
    Path::new(path).parent().map(Path::to_path_buf)
}

/// Returns an error if the files beside the library show another version of libtorch.
fn check_version(library: &Path) -> Result<(), String> {
    let Some(root) = library.parent().and_then(Path::parent) else { return Ok(()) };
    let found =
        ["build-version", "version.py"].iter().find_map(|f| std::fs::read_to_string(root.join(f)).ok());
    let Some(text) = found else { return Ok(()) };
    let version =
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find(|w| w.contains('.')).unwrap_or("");
    if version.starts_with(TORCH_VERSION) {
        Ok(())
    } else {
        Err(format!("{} belongs to torch {version}; torch {TORCH_VERSION}0 is needed", library.display()))
    }
}

/// Opens a shared library and never closes it.
fn open(path: &Path, flags: libc::c_int) -> Result<(), String> {
    let name =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| "the path holds a NUL byte".to_owned())?;
    // SAFETY: `name` is a NUL-terminated string; the initialisers are those of libtorch and the driver, which are made
    // to be loaded this way. The handle is never closed.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: `dlerror` returns null or a NUL-terminated string that stays valid until the thread's next dl call.
    let message = unsafe {
        let text = libc::dlerror();
        if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
    };
    Err(message.unwrap_or_else(|| "unknown reason".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SGLANG_NVRTC_LIB`, or the folder that scripts/setup --test-models installs to.
    pub(super) fn nvrtc_folder() -> PathBuf {
        let named = std::env::var_os("SGLANG_NVRTC_LIB").map(PathBuf::from);
        let cache = std::env::var_os("SGLANG_RS_CACHE").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/sglang-rs");
        named.unwrap_or_else(|| cache.unwrap_or_else(home).join("nvrtc"))
    }

    #[test]
    fn the_folder_of_the_libtorch_in_use_is_searched() {
        tch::set_num_threads(1); // makes sure the library is linked in
        let folder = torch_cpu_folder().unwrap();
        assert!(folder.join("libtorch_cpu.so").is_file());
        assert!(search_path().contains(&folder));
    }

    #[test]
    fn another_version_of_torch_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("lib").join(LIBRARY);
        check_version(&library).unwrap();
        std::fs::write(root.path().join("version.py"), "__version__ = '2.13.0+cu130'\n").unwrap();
        let error = check_version(&library).unwrap_err();
        assert!(error.contains("belongs to torch 2.13.0; torch 2.11.0 is needed"), "{error}");
        std::fs::write(root.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        check_version(&library).unwrap();
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let error = open(Path::new("/nowhere/libtorch_cuda.so"), libc::RTLD_NOW).unwrap_err();
        assert!(error.contains("/nowhere/libtorch_cuda.so"), "{error}");
    }
}
