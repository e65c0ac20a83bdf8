//! docs/microimage.md lists every flag as the program does. `microimage man --markdown` makes its
//! tables; with FIRSTBYTE_WRITE_PAGES=1 this test rewrites them.

use microimage::manual;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_lists_every_flag_of_the_program() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microimage"));
    let done = command.args(["man", "--markdown"]).output().expect("it starts");
    assert!(done.status.success(), "{done:?}");
    let block = String::from_utf8(done.stdout).expect("text");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/microimage.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let right = manual::with_flags(&page, &block).expect("a block of flags");
    if std::env::var_os("FIRSTBYTE_WRITE_PAGES").is_some() {
        std::fs::write(&path, &right).expect("written");
    }
    let again = std::fs::read_to_string(&path).expect("the page");
    assert!(
        again == right,
        "docs/microimage.md is out of date: FIRSTBYTE_WRITE_PAGES=1 cargo test --workspace \
         --profile host --test page_microimage"
    );
}
