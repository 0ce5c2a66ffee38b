//! Lets this crate's tests and examples find libtorch at run time. Programs that link the crate do the same in their
//! own build script, because link arguments do not travel to dependents.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(folder) = std::env::var_os("LIBTORCH").map(|p| std::path::PathBuf::from(p).join("lib")) else {
        return;
    };
    let folder = folder.canonicalize().unwrap_or(folder);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
