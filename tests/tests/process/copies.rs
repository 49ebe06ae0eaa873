//! Rows 82 and 83: a copy that rotted, or that something else was put in place of, is never sent.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::headers::Deposit;
use depot_tests::{Recovered, Server, answer, eventually};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Three chunks of 64 KiB and a short one.
const SIZE: usize = 3 * 65_536 + 1_000;

/// The last thing in a copy's file, and as large as a checksum block.
const FOOTER: u64 = 4_096;

#[test]
fn row_82_a_bit_flipped_in_the_first_chunk_is_copia_indisponivel() {
    let story = Story::after(|blob| flip(blob, 0));
    answer::refused(story.refusal(), "copia_indisponivel");
    story.is_quarantined_and_healed();
}

#[test]
fn row_82_a_bit_flipped_in_a_middle_chunk_is_never_sent() {
    let story = Story::after(|blob| flip(blob, 100_000));
    story.sends_less_than(65_536 + 1);
    story.is_quarantined_and_healed();
}

#[test]
fn row_82_a_bit_flipped_in_the_last_chunk_is_never_sent() {
    let story = Story::after(|blob| flip(blob, SIZE as u64 - 1));
    story.sends_less_than(3 * 65_536 + 1);
    story.is_quarantined_and_healed();
}

#[test]
fn row_82_a_bit_flipped_in_the_checksums_is_never_trusted() {
    let story = Story::after(|blob| flip(blob, size(blob) - 2 * FOOTER));
    story.sends_less_than(SIZE);
    story.is_quarantined_and_healed();
}

#[test]
fn row_82_a_bit_flipped_in_the_footer_is_copia_indisponivel() {
    let story = Story::after(|blob| flip(blob, size(blob) - FOOTER));
    answer::refused(story.refusal(), "copia_indisponivel");
    story.is_quarantined_and_healed();
}

#[test]
fn row_82_after_rot_was_found_the_content_is_not_held_any_more() {
    let story = Story::after(|blob| flip(blob, 0));
    answer::refused(story.refusal(), "copia_indisponivel");
    let deposit = Deposit::of(&story.id, "other", &story.bytes);
    let mut client = story.server.connect();
    assert_eq!(client.prepare(&deposit, &story.bytes), 0);
    let claim = deposit.offset(SIZE);
    answer::refused(&client.ask(claim.header()), "deslocamento_invalido");
}

#[test]
fn row_83_a_truncated_copy_is_copia_indisponivel() {
    let story = Story::after(|blob| open(blob).set_len(100_000).expect("cut"));
    answer::refused(story.refusal(), "copia_indisponivel");
    story.is_quarantined_and_healed();
}

#[test]
fn row_83_an_emptied_copy_is_copia_indisponivel() {
    let story = Story::after(|blob| open(blob).set_len(0).expect("emptied"));
    answer::refused(story.refusal(), "copia_indisponivel");
    story.is_quarantined_and_healed();
}

#[test]
fn row_83_a_deleted_copy_is_copia_indisponivel() {
    let story = Story::after(|blob| fs::remove_file(blob).expect("deleted"));
    answer::refused(story.refusal(), "copia_indisponivel");
    story.is_healed();
}

#[test]
fn row_83_a_copy_swapped_with_another_is_copia_indisponivel() {
    let (server, id) = (Server::start(), made_up_id());
    let mut client = server.connect();
    let (one, other) = (random_bytes(1, SIZE), random_bytes(2, SIZE));
    client.deposit(&id, "one", &one);
    client.deposit(&id, "other", &other);
    let [first, second] = [&one, &other].map(|bytes| server.folder().blob(&sha256(bytes)));
    let aside = server.setup().home().join("aside");
    fs::rename(&first, &aside).expect("moved");
    fs::rename(&second, &first).expect("moved");
    fs::rename(&aside, &second).expect("moved");
    for name in ["one", "other"] {
        let Recovered::Refused(line) = client.try_recover(&id, name) else { panic!("{name} sent") };
        answer::refused(&line, "copia_indisponivel");
    }
    client.stays_open();
    server.is_unharmed();
}

#[test]
fn row_83_a_folder_in_place_of_a_copy_is_copia_indisponivel() {
    let story = Story::after(|blob| {
        fs::remove_file(blob).expect("deleted");
        fs::create_dir(blob).expect("a folder");
    });
    answer::refused(story.refusal(), "copia_indisponivel");
}

#[test]
fn row_83_a_fifo_in_place_of_a_copy_is_copia_indisponivel_and_blocks_nobody() {
    let story = Story::after(|blob| {
        fs::remove_file(blob).expect("deleted");
        mkfifo(blob, Mode::S_IRWXU).expect("a FIFO");
    });
    answer::refused(story.refusal(), "copia_indisponivel");
}

#[test]
fn row_83_a_symlink_in_place_of_a_copy_is_not_followed_even_to_the_right_bytes() {
    let story = Story::after(|blob| {
        let aside = blob.with_extension("aside");
        fs::rename(blob, &aside).expect("moved");
        symlink(&aside, blob).expect("a symlink");
    });
    answer::refused(story.refusal(), "copia_indisponivel");
}

/// A file whose copy was tampered with, and what a client then got of it.
struct Story {
    server: Server,
    id: String,
    bytes: Vec<u8>,
    outcome: Recovered,
}

impl Story {
    /// Whatever was done: what came is right as far as it goes, and others are served.
    #[track_caller]
    fn after(tamper: impl FnOnce(&Path)) -> Self {
        let (server, id, bytes) = (Server::start(), made_up_id(), random_bytes(1, SIZE));
        server.connect().deposit(&id, "a", &bytes);
        tamper(&server.folder().blob(&sha256(&bytes)));
        let outcome = server.connect().try_recover(&id, "a");
        if let Recovered::Cut(read) = &outcome {
            assert!(bytes.starts_with(read), "wrong bytes were sent");
        }
        let again = server.connect().try_recover(&id, "a");
        assert!(!matches!(again, Recovered::Whole(_)), "it was sent the second time");
        server.is_unharmed();
        Self { server, id, bytes, outcome }
    }

    #[track_caller]
    fn refusal(&self) -> &str {
        match &self.outcome {
            Recovered::Refused(line) => line,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Refused, or cut before this many bytes.
    #[track_caller]
    fn sends_less_than(&self, most: usize) {
        match &self.outcome {
            Recovered::Refused(line) => {
                answer::refused(line, "copia_indisponivel");
            }
            Recovered::Cut(read) => assert!(read.len() < most, "{} bytes", read.len()),
            Recovered::Whole(_) => panic!("rotten bytes were sent"),
        }
    }

    #[track_caller]
    fn is_quarantined_and_healed(&self) {
        let folder = self.server.folder();
        eventually("the bad copy is quarantined", || !folder.quarantined().is_empty());
        self.is_healed();
    }

    /// A new deposit of the same bytes makes the file good again.
    #[track_caller]
    fn is_healed(&self) {
        let mut client = self.server.connect();
        assert!(client.deposit(&self.id, "a", &self.bytes).starts_with("resultado:1|"));
        assert_eq!(client.recover(&self.id, "a"), self.bytes);
    }
}

fn flip(path: &Path, at: u64) {
    let (file, mut byte) = (open(path), [0]);
    file.read_exact_at(&mut byte, at).expect("a byte to flip");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("flipped");
}

fn open(path: &Path) -> fs::File {
    OpenOptions::new().read(true).write(true).open(path).expect("the copy's file")
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).expect("the copy's file").len()
}
