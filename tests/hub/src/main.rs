//! Serves folders as repositories of a hub, to try clients by hand: `cargo run --release -p sglang-test-hub -- PORT
//! org/name=FOLDER …`

use std::path::Path;

use sglang_test_hub::{TestHub, TestRepo};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or("usage: sglang-test-hub PORT org/name=FOLDER …")?.parse()?;
    let hub = TestHub::start_on(port)?;
    for repo in args {
        let (name, folder) = repo.split_once('=').ok_or("expected org/name=FOLDER")?;
        hub.add(TestRepo::new(name).with_folder(Path::new(folder))?);
    }
    println!("HF_ENDPOINT={}", hub.endpoint());
    loop {
        std::thread::park();
    }
}
