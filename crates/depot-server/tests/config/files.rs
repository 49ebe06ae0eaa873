//! Files that are hardly a configuration: empty, huge, endless, not text.

use std::path::Path;

use depot_server::config::{Config, FILE_MAX};
use proptest::prelude::{any, proptest};

use super::{load, refused, says, written};

#[test]
fn row_100_empty_file() {
    says(&refused(""), &["is empty", "config/depot.toml"]);
    says(&refused(" \n\n"), &["is empty"]);
    says(&refused("# nothing\n"), &["has no [[server]]"]);
}

#[test]
fn row_100_huge_and_endless_files_are_not_read() {
    says(&refused(vec![b'#'; FILE_MAX as usize + 1]), &["larger than 1 MiB"]);
    let sparse = written("");
    let file = std::fs::File::options().write(true).open(&sparse.path).expect("ours");
    file.set_len(100 << 30).expect("a hole takes no room");
    let error = Config::load(&sparse.path).unwrap_err();
    says(&error.to_string(), &["larger than 1 MiB"]);
    let error = Config::load(Path::new("/dev/zero")).unwrap_err();
    says(&error.to_string(), &["/dev/zero", "larger than 1 MiB"]);
}

#[test]
fn row_100_not_utf_8_or_with_a_byte_order_mark() {
    says(&refused(b"[limits]\nidle = \"\xFF\"\n"), &["line 2, column 9", "not UTF-8"]);
    says(&refused(b"\xEF\xBB\xBF[limits]\n"), &["byte order mark", "save it as UTF-8 without"]);
    says(&refused(b"\xFF\xFE[\0l\0"), &["UTF-16"]);
}

#[test]
fn row_100_deep_nesting_is_bounded() {
    let deep = 200_000;
    for file in [
        format!("x = {}", "[".repeat(deep)),
        format!("x = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("x = {}", "{a=".repeat(deep)),
        format!("{}x = 1", "a.".repeat(deep)),
        format!("[{}x]", "a.".repeat(deep)),
    ] {
        says(&refused(file), &["depot.toml", "not TOML", "recurs"]);
    }
}

#[test]
fn row_100_a_folder_or_nothing_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Config::load(folder.path()).unwrap_err().to_string();
    says(&error, &[&folder.path().display().to_string(), "is a folder"]);
    let error = Config::load(&folder.path().join("none.toml")).unwrap_err().to_string();
    says(&error, &["none.toml", "cannot read it", "No such file"]);
}

proptest! {
    #[test]
    fn row_100_no_text_makes_it_panic(
        at in any::<proptest::sample::Index>(),
        noise in "\\PC{0,8}|[\\[\\]{}=\"'#.\n]{1,8}",
    ) {
        let mut text = include_str!("../../../../config/three-servers.toml").to_owned();
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        text.insert_str(*at.get(&places), &noise);
        let _ = load(&text).map_err(|error| error.to_string());
    }
}
