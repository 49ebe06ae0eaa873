//! Rows 84 to 88: data folders in which something is strange, broken or gone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::{Mount, Server, Setup, eventually};

const NAME: &str = "um-nome-que-so-existe-uma-vez.bin";

#[test]
fn row_84_unknown_files_are_told_in_the_log_and_never_touched() {
    let (stopped, id) = with_a_file();
    let planted = ["anotacoes.txt", "volume/visitante.bin", "volume/blobs/00/intruso"];
    for file in planted {
        fs::write(stopped.folder().path(file), b"not yours").expect("planted");
    }
    let server = stopped.start();
    for file in planted {
        let name = file.rsplit('/').next().expect("a name");
        eventually(&format!("{name} is told in the log"), || server.log().contains(name));
    }
    server.is_unharmed();
    let stopped = server.stop();
    for file in planted {
        assert_eq!(fs::read(stopped.folder().path(file)).expect("still there"), b"not yours");
    }
    assert_eq!(stopped.start().connect().recover(&id, NAME), content());
}

#[test]
fn row_85_a_cut_catalogue_is_exit_code_8() {
    let (stopped, _) = with_a_file();
    let catalogue = stopped.folder().catalogue();
    let whole = fs::read(&catalogue).expect("the catalogue");
    for keep in [0, 100, whole.len() / 2, whole.len() - 1] {
        println!("{keep} of {} bytes", whole.len());
        fs::write(&catalogue, &whole[..keep]).expect("cut");
        refuses(&stopped, 8, "catalogue");
    }
    fs::write(&catalogue, whole).expect("made whole");
    stopped.start().is_unharmed();
}

#[test]
fn row_85_a_catalogue_with_flipped_bits_is_exit_code_8() {
    let (stopped, _) = with_a_file();
    let catalogue = stopped.folder().catalogue();
    let whole = fs::read(&catalogue).expect("the catalogue");
    let mut flipped = whole.clone();
    let places = whole.windows(NAME.len()).enumerate().filter(|(_, text)| *text == NAME.as_bytes());
    let places = places.map(|(at, _)| at).collect::<Vec<_>>();
    assert!(!places.is_empty(), "no record to damage");
    places.iter().for_each(|&at| flipped[at] ^= 1);
    fs::write(&catalogue, flipped).expect("flipped");
    refuses(&stopped, 8, "catalogue");
    fs::write(&catalogue, whole).expect("made whole");
    stopped.start().is_unharmed();
}

#[test]
fn row_85_an_older_copy_of_the_catalogue_is_exit_code_8() {
    let (stopped, id) = with_a_file();
    let catalogue = stopped.folder().catalogue();
    let older = fs::read(&catalogue).expect("the catalogue");
    let server = stopped.start();
    assert!(server.connect().deposit(&id, "newer", b"hello").starts_with("resultado:1|"));
    let stopped = server.stop();
    fs::write(&catalogue, older).expect("put back");
    refuses(&stopped, 8, "catalogue");
}

#[test]
fn row_86_a_missing_catalogue_is_exit_code_8_and_never_a_fresh_start() {
    let (stopped, _) = with_a_file();
    let folder = stopped.folder();
    fs::remove_file(folder.catalogue()).expect("removed");
    refuses(&stopped, 8, "catalogue");
    fs::remove_dir_all(folder.path("catalogue")).expect("removed");
    refuses(&stopped, 8, "catalogue");
    assert_eq!(folder.blobs().len(), 1, "the copies are still there");
}

#[test]
fn row_86_missing_blobs_are_exit_code_8_and_never_a_fresh_start() {
    let (stopped, _) = with_a_file();
    let folder = stopped.folder();
    let aside = stopped.home().join("aside");
    for missing in ["volume/blobs", "volume"] {
        fs::rename(folder.path(missing), &aside).expect("moved away");
        refuses(&stopped, 8, "volume");
        // Nothing was founded anew in its place.
        let _ = fs::remove_dir(folder.path(missing));
        fs::rename(&aside, folder.path(missing)).expect("moved back");
    }
    stopped.start().is_unharmed();
}

#[test]
fn row_86_an_emptied_volume_as_of_a_mount_that_is_gone_is_exit_code_8() {
    let (stopped, _) = with_a_file();
    empty(&stopped.folder().path("volume"));
    refuses(&stopped, 8, "volume");
}

#[test]
fn row_86_a_folder_whose_catalogue_and_volume_were_emptied_is_not_a_fresh_one() {
    let (stopped, _) = with_a_file();
    empty(&stopped.folder().path("volume"));
    empty(&stopped.folder().path("catalogue"));
    let refusal = stopped.refuse();
    assert!(refusal.code.is_some_and(|code| code != 0), "{refusal:?}");
}

#[test]
fn row_87_a_file_as_data_folder_is_exit_code_6() {
    let setup = Setup::new();
    let file = setup.home().join("a-file");
    fs::write(&file, b"hello").expect("a file");
    refuses(&setup.clone().data(&file), 6, "a-file");
    assert_eq!(fs::read(&file).expect("still there"), b"hello");
}

#[test]
fn row_87_proc_as_data_folder_is_foreign() {
    refuses(&Setup::new().data("/proc"), 7, "/proc");
}

#[test]
fn row_87_a_read_only_data_folder_is_exit_code_6() {
    let setup = Setup::new();
    let folder = setup.folder();
    let data = folder.root();
    fs::create_dir(data).expect("a folder");
    let Some(_mount) = Mount::read_only(data) else {
        println!("skipped: mounting is not allowed here");
        return;
    };
    refuses(&setup, 6, "data");
}

#[test]
fn row_87_a_data_folder_that_turned_read_only_is_exit_code_6() {
    let (stopped, id) = with_a_file();
    let Some(mount) = Mount::over_itself_read_only(stopped.folder().root()) else {
        println!("skipped: mounting is not allowed here");
        return;
    };
    refuses(&stopped, 6, "data");
    drop(mount);
    assert_eq!(stopped.start().connect().recover(&id, NAME), content());
}

#[test]
fn row_88_symlinks_in_place_of_the_servers_own_are_exit_code_6() {
    for (own, named) in [
        ("volume/blobs", "blobs"),
        ("volume", "volume"),
        ("catalogue", "catalogue"),
        ("catalogue/catalogue.redb", "catalogue"),
    ] {
        let (stopped, _) = with_a_file();
        let (place, aside) = (stopped.folder().path(own), stopped.home().join("aside"));
        fs::rename(&place, &aside).expect("moved away");
        symlink(&aside, &place).expect("a symlink");
        refuses(&stopped, 6, named);
    }
}

#[test]
fn a_folder_with_other_files_and_no_depot_is_exit_code_7_and_stays_as_it_is() {
    let setup = Setup::new();
    let photo = setup.folder().path("ferias.jpg");
    fs::create_dir(setup.folder().root()).expect("a folder");
    fs::write(&photo, b"a photo").expect("a file");
    refuses(&setup, 7, "data");
    assert_eq!(setup.folder().files(), [photo]);
}

#[test]
fn a_folder_of_another_server_is_exit_code_7() {
    let (stopped, _) = with_a_file();
    let folder = stopped.folder();
    let data = folder.root().to_str().expect("UTF-8");
    let another = stopped.clone().args(&["--name", "two", "--port", "0", "--data", data]);
    refuses(&another, 7, "one");
    stopped.start().is_unharmed();
}

/// It gives up with this code, in one line that names the thing.
#[track_caller]
fn refuses(setup: &Setup, code: i32, named: &str) {
    let refusal = setup.refuse();
    assert_eq!(refusal.code, Some(code), "{}", refusal.stderr);
    let told = refusal.stderr.lines().find_map(|line| line.split_once("depot-server: error: "));
    let (_, told) = told.unwrap_or_else(|| panic!("no error line: {}", refusal.stderr));
    assert!(told.contains(named), "names {named}: {told}");
}

/// A server that was stopped well after one deposit, and the client's id.
fn with_a_file() -> (Setup, String) {
    let (server, id) = (Server::start(), made_up_id());
    assert!(server.connect().deposit(&id, NAME, &content()).starts_with("resultado:1|"));
    (server.stop(), id)
}

fn content() -> Vec<u8> {
    random_bytes(1, 100_000)
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.expect("removed");
    }
}
