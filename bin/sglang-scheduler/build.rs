//! Lets the program find the libtorch it was built with, so that it runs without `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(folder) = std::env::var_os("LIBTORCH").map(|p| std::path::PathBuf::from(p).join("lib")) else {
        return;
    };
    let folder = folder.canonicalize().unwrap_or(folder);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
