//! Lets the tests and examples of this crate find libtorch at run time. Programs that link the crate need the same in
//! their build script, because Cargo does not pass link arguments on to dependents.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(folder) = std::env::var_os("LIBTORCH").map(|p| std::path::PathBuf::from(p).join("lib")) else {
        return;
    };
    let folder = folder.canonicalize().unwrap_or(folder);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
