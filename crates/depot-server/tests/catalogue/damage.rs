//! A catalogue that rotted or was cut on the disk: refused, or every row right; never a row that
//! is wrong or missing, and never a file that opening made worse.

use std::path::Path;
use std::time::Duration;

use depot_protocol::FileName;
use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Catalogue, Command, OpenError, ReadError, Record, Store, StoreSettings,
};

use crate::disk::{Dice, MemDisk};
use crate::world::{
    CHECKED, CLUSTER, UNCHECKED, World, client, digest, found, inline, name, put, remove, server,
};

const PAGE: usize = 4096;

fn file() -> &'static Path {
    Path::new("catalogue/catalogue.redb")
}

fn journal() -> &'static Path {
    Path::new("catalogue/journal")
}

type Files = Vec<(u8, FileName, Record)>;

/// The two files of a catalogue.
#[derive(Clone, PartialEq)]
struct Image {
    tables: Vec<u8>,
    journal: Vec<u8>,
}

impl Image {
    fn of(disk: &MemDisk) -> Image {
        Image { tables: disk.bytes(file()), journal: disk.bytes(journal()) }
    }

    /// The same with other tables.
    fn tables(&self, tables: Vec<u8>) -> Image {
        Image { tables, journal: self.journal.clone() }
    }

    /// The same with another journal.
    fn journal(&self, journal: Vec<u8>) -> Image {
        Image { tables: self.tables.clone(), journal }
    }

    fn disk(&self) -> MemDisk {
        let disk = MemDisk::with(file(), self.tables.clone());
        disk.put(journal(), self.journal.clone());
        disk
    }
}

/// A catalogue with a history, as a stop leaves it and as a kill leaves it, and what is in it.
async fn images() -> ([Image; 2], Files) {
    with_history(StoreSettings { journal: 0, ..CHECKED }).await
}

async fn with_history(settings: StoreSettings) -> ([Image; 2], Files) {
    let disk = MemDisk::default();
    found(&disk);
    let world = World::start(Store::open(&disk, &settings, false).unwrap()).await;
    for n in 0..160_u8 {
        let text = format!("{n:03}{}", "/long name".repeat(usize::from(n % 40)));
        let file = Put { namespace: client(n % 3), digest: digest(n / 2), ..put(&text) };
        let record = world.put(&file).await;
        if n % 5 == 0 {
            world.propose(remove(&file, record.version)).await;
        }
    }
    let files = world.all().await;
    let killed = Image::of(&disk);
    world.close().await;
    ([Image::of(&disk), killed], files)
}

/// Opens these bytes; if that works, everything must be there and right.
async fn refused_or_right(image: Image, files: &Files, what: &str) -> bool {
    let disk = image.disk();
    match Store::open(&disk, &CHECKED, false) {
        Err(OpenError::Damaged { .. }) => {
            assert!(Image::of(&disk) == image, "{what}: refused, and yet changed");
            true
        }
        Err(other) => panic!("{what}: {other:?}"),
        Ok(store) => {
            let world = World::start(store).await;
            assert!(world.all().await == *files, "{what}: opened, and rows are wrong or missing");
            // It goes on being right when it is written to.
            for n in 0..8 {
                let text = format!("new {n}{}", "/long name".repeat(60));
                world.put(&Put { namespace: client(3), ..put(&text) }).await;
            }
            let mut after = world.all().await;
            world.view().await.verify().unwrap();
            assert!(world.aborts().is_empty(), "{what}");
            world.close().await;
            let world = World::start(Store::open(&disk, &CHECKED, true).expect(what)).await;
            assert!(world.all().await == after, "{what}: went bad later");
            after.truncate(files.len());
            assert!(after == *files, "{what}: went bad later");
            false
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_is_refused_or_harmless() {
    quietly();
    let (images, files) = images().await;
    let (journalled, same) = with_history(CHECKED).await;
    assert_eq!(names(&same), names(&files));
    for (image, files) in
        images.iter().map(|image| (image, &files)).chain([(&journalled[1], &same)])
    {
        let mut dice = Dice(7);
        let (mut refused, mut flipped) = (0, 0);
        for page in 0..image.tables.len() / PAGE {
            for sample in 0..8 {
                // The fronts of pages hold more than their ends.
                let within = dice.roll(if sample < 7 { 512 } else { PAGE as u64 }) as usize;
                let (offset, bit) = (page * PAGE + within, dice.roll(8));
                let mut bytes = image.tables.clone();
                bytes[offset] ^= 1 << bit;
                let what = format!("bit {bit} at {offset}");
                refused += usize::from(refused_or_right(image.tables(bytes), files, &what).await);
                flipped += 1;
            }
        }
        assert!(refused * 4 > flipped, "{refused} of {flipped} flips refused: too few to be true");
    }
}

#[tokio::test]
async fn every_flipped_bit_of_the_header_is_refused_without_a_check() {
    let (images, _) = images().await;
    for image in images {
        for bit in 0..336 * 8 {
            let mut bytes = image.tables.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let disk = image.tables(bytes).disk();
            let opened = Store::open(&disk, &UNCHECKED, false);
            assert!(matches!(opened, Err(OpenError::Damaged { .. })), "bit {bit}: {opened:?}");
        }
    }
}

#[tokio::test]
async fn a_file_cut_short_is_refused_without_a_check() {
    let (images, _) = images().await;
    for image in images {
        let size = image.tables.len();
        let pages = (0..size).step_by(PAGE).flat_map(|at| [at, at + 1, at + PAGE / 2]);
        for len in pages.chain([size - 1]).filter(|len| *len < size) {
            let disk = image.tables(image.tables[..len].to_vec()).disk();
            let opened = Store::open(&disk, &UNCHECKED, false);
            let Err(OpenError::Damaged { what }) = opened else {
                panic!("{len} bytes: {opened:?}")
            };
            assert!(what.contains("cut short"), "{len} bytes: {what}");
            assert_eq!(disk.bytes(file()).len(), len);
        }
    }
}

#[test]
fn a_file_of_something_else_is_refused() {
    for bytes in [vec![0; 64 << 10], b"redb\x1a\x0a\xa9\x0d\x0a".repeat(8000)] {
        let disk = MemDisk::with(file(), bytes);
        let opened = Store::open(&disk, &CHECKED, false);
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
    }
}

#[tokio::test]
async fn opening_with_the_check_leaves_a_whole_file_as_it_was_until_the_open() {
    // A forced check of a file over the limit is made, and passes.
    let (images, files) = images().await;
    for image in images {
        let disk = image.disk();
        let world = World::start(Store::open(&disk, &UNCHECKED, true).unwrap()).await;
        assert_eq!(world.all().await, files);
    }
}

/// Damage that only shows when the row is read, in a file too large to be checked on opening.
#[tokio::test]
async fn a_rotten_row_is_an_error_and_never_absent() {
    let (images, files) = images().await;
    let (owner, rotten, record) = files[files.len() / 2].clone();
    let disk = images[0].tables(flip_row(&images[0].tables, &row_of(&record))).disk();
    let world = World::start(Store::open(&disk, &UNCHECKED, false).unwrap()).await;
    let view = world.view().await;
    let corrupt = |error| matches!(error, Err(ReadError::Corrupt { .. }));
    assert!(corrupt(view.get(&client(owner), &rotten).map(drop)));
    assert!(corrupt(view.list(&client(owner), "", 1000).map(drop)));
    assert!(corrupt(view.lists_blob(&record.digest, &server("b")).map(drop)));
    assert!(corrupt(view.verify().map(drop)));
    for (n, name, record) in files.iter().filter(|(_, name, _)| *name != rotten) {
        assert_eq!(view.get(&client(*n), name).unwrap().as_ref(), Some(record));
    }
    assert_eq!(view.get(&client(0), &name("nobody's")).unwrap(), None);
    assert!(world.aborts().is_empty());
}

/// Without a check damage may hide rows, but never makes one of another, and never kills a thread.
#[tokio::test]
async fn without_a_check_damage_is_never_read_as_a_file() {
    quietly();
    let (images, files) = images().await;
    let mut dice = Dice(11);
    for (page, _) in images[1].tables.chunks(PAGE).enumerate().skip(1) {
        for _ in 0..3 {
            let mut bytes = images[1].tables.clone();
            bytes[page * PAGE + dice.roll(256) as usize] ^= 1 << dice.roll(8);
            let disk = images[1].tables(bytes).disk();
            let store = match Store::open(&disk, &UNCHECKED, false) {
                Err(OpenError::Damaged { .. }) => continue,
                other => other.unwrap(),
            };
            let Ok(world) = World::start_on(store, inline()).await else { continue };
            let Ok(view) = world.catalogue.view().await else { continue };
            for (n, name, record) in &files {
                if let Ok(Some(found)) = view.get(&client(*n), name) {
                    assert_eq!(found, *record);
                }
            }
        }
    }
}

/// A fault that is not the disk's: the command cannot be applied, so nothing is, ever after.
#[tokio::test(start_paused = true)]
async fn a_command_on_a_rotten_row_ends_it() {
    let (images, files) = images().await;
    let (owner, rotten, record) = files[0].clone();
    let disk = images[0].tables(flip_row(&images[0].tables, &row_of(&record))).disk();
    let world = World::start(Store::open(&disk, &UNCHECKED, false).unwrap()).await;
    let change = Put { namespace: client(owner), ..put(rotten.as_str()) };
    let proposal = world.catalogue.propose(Command::Put(change));
    assert!(tokio::time::timeout(Duration::from_millis(50), proposal).await.is_err());
    assert!(!world.aborts().is_empty());
    assert!(matches!(world.catalogue.view().await, Err(ReadError::Down)));
    let before = disk.bytes(file());
    world.close().await;
    assert!(disk.bytes(file()) == before, "written to after the abort");
}

/// What was applied and not synced is applied again from the log. Where that is rotten the server
/// does not come up with less than it had answered for.
#[tokio::test]
async fn a_rotten_log_is_never_cut_to_fit() {
    let (images, files) = images().await;
    let (_, _, last) = files.iter().max_by_key(|(_, _, record)| record.version).unwrap();
    let disk = images[1].tables(flip_row(&images[1].tables, &last.operation.0)).disk();
    let store = Store::open(&disk, &UNCHECKED, false).unwrap();
    let refused = World::start_on(store, inline()).await.err().expect("it starts");
    assert!(refused.error.to_string().contains("checksum"), "{refused:?}");
    assert!(!refused.aborts.is_empty());
    let opened = Store::open(&disk, &UNCHECKED, true);
    assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
}

/// What a server that was killed has answered for and has in its journal alone: three records behind
/// what is durable in its tables, with a file each.
async fn late() -> (Image, Files) {
    let disk = MemDisk::default();
    found(&disk);
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    world.put(&put("durable")).await;
    world.store.raise_start_number(7).unwrap();
    for late in ["one", "two", "three"] {
        world.put(&put(late)).await;
    }
    let (image, files) = (Image::of(&disk), world.all().await);
    world.close().await;
    (image, files)
}

fn names(files: &Files) -> Vec<&str> {
    files.iter().map(|(_, name, _)| name.as_str()).collect()
}

/// What is there after a start on this image; `None` where it is refused, and was not changed.
async fn there(image: &Image) -> Option<Files> {
    let disk = image.disk();
    let store = match Store::open(&disk, &CHECKED, false) {
        Err(OpenError::Damaged { .. }) => {
            assert!(Image::of(&disk) == *image, "refused, and yet changed");
            return None;
        }
        opened => opened.unwrap(),
    };
    let world = World::start(store).await;
    let files = world.all().await;
    world.close().await;
    Some(files)
}

#[tokio::test]
async fn what_only_the_journal_has_is_there() {
    let (image, files) = late().await;
    assert_eq!(names(&files), ["durable", "one", "three", "two"]);
    assert_eq!(there(&image).await.as_ref(), Some(&files));
    // Twice, since the first start may have died at once.
    let disk = image.disk();
    drop(Store::open(&disk, &CHECKED, false).unwrap());
    assert_eq!(there(&Image::of(&disk)).await.as_ref(), Some(&files));
    let empty = image.journal(Vec::new());
    assert_eq!(there(&empty).await.map(|files| files.len()), Some(1), "it is the journal's doing");
}

/// A record that is damaged is never taken for the end, but for the last one: the power may have gone
/// while that was written, and then nobody was answered.
#[tokio::test]
async fn a_rotten_journal_is_never_cut_to_fit() {
    let (image, files) = late().await;
    let records = image.journal.chunks(PAGE).filter(|page| page.starts_with(b"depotlog")).count();
    assert_eq!(records, 3);
    let without_the_last: Files =
        files.iter().filter(|(_, name, _)| name.as_str() != "three").cloned().collect();
    let (mut refused, mut cut) = (0, 0);
    for at in (0..3 * PAGE).filter(|at| at % PAGE < 400) {
        let mut bytes = image.journal.clone();
        bytes[at] ^= 0x10;
        match there(&image.journal(bytes)).await {
            None => refused += 1,
            // Behind the end of a record nothing is read.
            Some(found) if found == files => {}
            Some(found) => {
                assert!(at >= 2 * PAGE, "byte {at}");
                assert_eq!(found, without_the_last, "byte {at}");
                cut += 1;
            }
        }
    }
    assert!(refused > 200 && cut > 100, "{refused} refused, {cut} cut");
    for len in (0..3 * PAGE).step_by(PAGE).flat_map(|record| [record, record + 100]) {
        let found = there(&image.journal(image.journal[..len].to_vec())).await;
        assert!(found.is_some_and(|found| found.len() < files.len()), "{len} bytes");
    }
}

#[tokio::test]
async fn tables_and_a_journal_that_do_not_belong_together_are_refused() {
    let (image, files) = late().await;
    let disk = MemDisk::with(file(), image.tables.clone());
    let missing = Store::open(&disk, &CHECKED, false).unwrap_err();
    assert!(missing.to_string().contains("catalogue/journal is missing"), "{missing}");

    let disk = image.disk();
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    world.put(&put("four")).await;
    let later = Image::of(&disk);
    world.close().await;
    // Older tables under a journal that goes on where they do not end.
    assert_eq!(there(&image.journal(later.journal.clone())).await, None);
    // An older journal has nothing that later tables lack; what the later one had is gone with it.
    assert_eq!(there(&later.journal(image.journal.clone())).await, Some(files));
}

/// Whose file it is cannot be read: it is refused without a check too, and left as it is.
#[tokio::test]
async fn a_file_that_does_not_say_whose_it_is_is_refused_and_left_alone() {
    let (images, _) = images().await;
    for image in images {
        let bytes = flip_row(&image.tables, &CLUSTER);
        let disk = image.tables(bytes.clone()).disk();
        let opened = Store::open(&disk, &UNCHECKED, false);
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
        assert!(disk.bytes(file()) == bytes);
    }
}

/// The file with a bit flipped in the row that holds these bytes, wherever a copy of it lies.
fn flip_row(image: &[u8], holds: &[u8]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    let mut flipped = 0;
    for at in 0..bytes.len() - holds.len() {
        if bytes[at..].starts_with(holds) {
            bytes[at + holds.len() - 1] ^= 0x80;
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    bytes
}

/// How the row of a record begins, which no row of the log does: format, version, content.
fn row_of(record: &Record) -> Vec<u8> {
    let version = record.version.0;
    let version = match u8::try_from(version) {
        Ok(small) if small < 0x80 => vec![small],
        _ => vec![(version & 0x7F) as u8 | 0x80, (version >> 7) as u8],
    };
    [&[1][..], &version, record.digest.as_bytes()].concat()
}

/// Damaged files make redb panic; those panics are caught, and need not be seen.
fn quietly() {
    std::panic::set_hook(Box::new(|info| {
        let here = info.location().is_some_and(|place| !place.file().contains("redb"));
        if here {
            eprintln!("{info}");
        }
    }));
}
