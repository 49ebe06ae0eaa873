//! Ways that lead beneath a folder, and those that would lead out of it.

use std::os::unix::fs::symlink;

use super::*;

fn beneath(root: &Path, name: &str) -> Place {
    Place::beneath(&Chosen::new(root), &FileName::parse(name).unwrap())
}

#[test]
fn folders_are_made_when_they_are_asked_for_and_not_before() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("new/root");
    let place = beneath(&root, "a/b/c.txt");
    assert_eq!(place.path(), root.join("a/b/c.txt"));
    assert!(place.folder_if_there().unwrap().is_none());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    place.folder().unwrap().create(place.name()).unwrap();
    assert!(root.join("a/b/c.txt").is_file());
    assert!(place.folder_if_there().unwrap().is_some());
    sync_names(&[&place, &beneath(&root, "a/d")]).into_iter().for_each(|synced| synced.unwrap());
}

#[test]
fn the_names_of_new_folders_are_made_durable_with_the_files() {
    let home = tempfile::tempdir().unwrap();
    let (new, root) = (home.path().join("new"), home.path().join("new/root"));
    assert_eq!(make(&root).unwrap(), [home.path(), new.as_path()]);
    assert!(make(&root).unwrap().is_empty());
    let place = beneath(&root, "a/b/c.txt");
    place.folder().unwrap();
    let mut synced = BTreeMap::new();
    sync_name(&place, &mut synced).unwrap();
    assert!(synced.into_keys().eq([root.clone(), root.join("a"), root.join("a/b")]));
}

#[test]
fn no_link_is_followed_beneath_and_the_chosen_folder_may_be_one() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(elsewhere.path(), home.path().join("link")).unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    for name in ["link/x", "link/a/x", "file/x"] {
        let refused = beneath(home.path(), name).folder().map(|_| ());
        assert!(matches!(refused, Err(Error::NotAFolder(_))), "{name}: {refused:?}");
        let looked = beneath(home.path(), name).folder_if_there().map(|_| ());
        assert!(matches!(looked, Err(Error::NotAFolder(_))), "{name}: {looked:?}");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    beneath(&home.path().join("link"), "a/x").folder().unwrap();
    assert!(elsewhere.path().join("a").is_dir());
}

/// Where the system has no way to open a path at once, each step is looked at by itself.
#[test]
fn step_by_step_is_as_strict() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(elsewhere.path(), home.path().join("link")).unwrap();
    let root = Folder::chosen(home.path(), Missing::Fault).unwrap();
    let step = |name: &str| root.step(OsStr::new(name), Missing::Made).map(|_| ());
    assert!(matches!(step("link"), Err(Error::NotAFolder(_))));
    step("new").unwrap();
    for way in ["..", "new/../..", "/etc"] {
        let led = root.clone().descend(Path::new(way), Missing::Made).map(|_| ());
        assert!(matches!(led, Err(Error::NotAFolder(_))), "{way}: {led:?}");
    }
}

#[test]
fn a_folder_that_was_found_stays_the_same_whatever_its_path_becomes() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = beneath(&home.path().join("to"), "sub/x");
    let folder = place.folder().unwrap();
    fs::rename(home.path().join("to/sub"), home.path().join("moved")).unwrap();
    symlink(elsewhere.path(), home.path().join("to/sub")).unwrap();
    folder.create(OsStr::new("part")).unwrap();
    folder.rename(OsStr::new("part"), OsStr::new("x"), Existing::Refuse).unwrap();
    assert!(home.path().join("moved/x").is_file());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
