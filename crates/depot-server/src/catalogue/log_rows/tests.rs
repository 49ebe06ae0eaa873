use openraft::CommittedLeaderId;

use super::*;
use crate::catalogue::command::{
    AddCopy, Admit, Away, Command, Leave, Lost, Put, Remove, SetReplicas, Sweep, Want,
};
use crate::catalogue::record::{Namespace, OperationId, Receipt, SweepNumber, Version};
use depot_protocol::{Digest, FileName, FileSize, ReplicaCount, UtcSeconds};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(3, 0x0102_0304_0506_0708), index)
}

fn members() -> Membership<u64, Member> {
    let member = |name: &str| Member { name: name.into(), incarnation: 2 };
    let nodes = BTreeMap::from([(5, member("a")), (6, member("b"))]);
    Membership::new(vec![BTreeSet::from([5, 6]), BTreeSet::from([5])], nodes)
}

fn commands() -> Vec<Command> {
    let namespace = Namespace::from_bytes([0xAA; 32]);
    let name = FileName::parse("a/b").unwrap();
    let operation = OperationId([0x11; 16]);
    let (read, replicas) = (Version(300), ReplicaCount::new(2));
    let receipt =
        Receipt { server: server("a"), incarnation: Incarnation(7), sweep: SweepNumber(4) };
    let put = Put {
        namespace,
        name: name.clone(),
        read,
        seen: 301,
        digest: Digest::from_bytes([0xDD; 32]),
        size: FileSize::new(1 << 40).unwrap(),
        replicas,
        deposited: UtcSeconds::new(1_795_000_000),
        receipts: vec![receipt.clone()],
        wanted: vec![server("b")],
        operation,
    };
    let wanted = vec![server("c")];
    let at = name.clone();
    vec![
        Command::Put(put),
        Command::SetReplicas(SetReplicas {
            namespace,
            name: at,
            read,
            replicas,
            wanted,
            operation,
        }),
        Command::Remove(Remove { namespace, name: name.clone(), read, operation }),
        Command::Sweep(Sweep { server: server("a"), number: SweepNumber(5) }),
        Command::AddCopy(AddCopy { namespace, name, version: read, receipt }),
        Command::Admit(Admit { server: server("b"), incarnation: Incarnation(2) }),
    ]
}

/// Those that came with the second release.
fn commands_of_repair() -> Vec<Command> {
    let (namespace, name) = (Namespace::from_bytes([0xAA; 32]), FileName::parse("a/b").unwrap());
    let (server_a, incarnation, version) = (server("a"), Incarnation(7), Version(300));
    let (digest, at) = (Digest::from_bytes([0xDD; 32]), name.clone());
    vec![
        Command::Away(Away { server: server_a.clone(), incarnation, away: true }),
        Command::Lost(Lost {
            server: server_a.clone(),
            incarnation,
            digest,
            after: None,
            most: Lost::ALL,
        }),
        Command::Want(Want { namespace, name: at, version, servers: vec![server("c")] }),
        Command::Leave(Leave { namespace, name, version, server: server_a, incarnation }),
    ]
}

/// Those that came after that.
fn commands_in_pages() -> Vec<Command> {
    let place = || (Namespace::from_bytes([0xAA; 32]), FileName::parse("a/b").unwrap());
    let page = |after, most| {
        let (server, incarnation) = (server("a"), Incarnation(7));
        let digest = Digest::from_bytes([0xDD; 32]);
        Command::Lost(Lost { server, incarnation, digest, after, most })
    };
    vec![page(None, 256), page(Some(place()), 256)]
}

/// Rows that this release wrote. They must be read for ever: don't change them to make the test
/// pass.
const LOG_ID: &str = "0103888e98a8c0e08081010b0301434fdcfbec62";
const VOTE: &str = "01040901017f34c0946cd92a";
const BLANK: &str = "0103888e98a8c0e08081010b00a25ffd63e4ad0b54";
const COMMANDS: &str = "0103888e98a8c0e08081010b010600aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
     aaaaaaaaaaaaaa03612f62ac02ad02dddddddddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddddddd80808080802002c08df6d706010161070401016211111111111111111111111111\
     11111101aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa03612f62\
     ac02020101631111111111111111111111111111111102aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa03612f62ac0211111111111111111111111111111111030161\
     0504aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa03612f62ac02\
     0161070405016202a813c764ddb65565";
const COMMANDS_OF_REPAIR: &str = "0103888e98a8c0e08081010b0104060161070107016107dddd\
     dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd08aaaaaaaaaaaaaaaaaa\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa03612f62ac0201016309aaaaaaaaaaaaaa\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa03612f62ac02016107f4212d23af55\
     0169";
const COMMANDS_IN_PAGES: &str = "0103888e98a8c0e08081010b01020a016107dddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddddddddddddd0080020a016107dddddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddddddddddd01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
     aaaa03612f628002fc1db40b1bbbfcde";
const MEMBERS: &str = "0103888e98a8c0e08081010b020202050601050205016102060162026da647e85928fde0";
const PROGRESS: &str = "010103888e98a8c0e08081010c0103888e98a8c0e08081010a020205060105020501610206016202\
     935c64cbf60d21e8";
const FOUNDERS: &str = "01010161016266e103a045c775";

fn pinned<T: Row + PartialEq + std::fmt::Debug>(value: &T, row: &str) {
    assert_eq!(hex(&value.seal(b"key")), row);
    assert_eq!(T::unseal(b"key", &value.seal(b"key")).unwrap(), *value);
}

#[test]
fn rows_of_the_log_written_today_are_read_tomorrow() {
    let vote = Vote { committed: true, ..Vote::new(4, 9) };
    let progress = Progress {
        log_id: Some(log_id(12)),
        members: StoredMembership::new(Some(log_id(10)), members()),
    };
    pinned(&log_id(11), LOG_ID);
    pinned(&vote, VOTE);
    pinned(&progress, PROGRESS);
    pinned(&Founders(vec![(server("a"), Incarnation(1))]), FOUNDERS);
    let entries = [
        (EntryPayload::Blank, BLANK),
        (EntryPayload::Normal(commands()), COMMANDS),
        (EntryPayload::Normal(commands_of_repair()), COMMANDS_OF_REPAIR),
        (EntryPayload::Normal(commands_in_pages()), COMMANDS_IN_PAGES),
        (EntryPayload::Membership(members()), MEMBERS),
    ];
    for (payload, row) in entries {
        let entry = Entry { log_id: log_id(11), payload };
        pinned(&entry, row);
    }
}

#[test]
fn every_flipped_bit_of_an_entry_is_noticed() {
    let entry = Entry { log_id: log_id(11), payload: EntryPayload::Normal(commands()) };
    let row = entry.seal(b"key");
    for bit in 0..row.len() * 8 {
        let mut rotten = row.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        assert!(Entry::unseal(b"key", &rotten).is_err(), "bit {bit}");
    }
    assert!(Entry::unseal(b"kez", &row).is_err());
}

#[test]
fn a_node_is_the_hash_that_the_types_name() {
    use crate::catalogue::consensus::node_id;
    use sha2::Digest as _;
    let hash = sha2::Sha256::new()
        .chain_update(b"depot node 1")
        .chain_update([3; 16])
        .chain_update(b"a")
        .chain_update(7_u64.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let id = node_id(&[3; 16], &server("a"), Incarnation(7));
    assert_eq!(id.to_be_bytes(), hash[..8]);
    assert_ne!(id, node_id(&[3; 16], &server("a"), Incarnation(8)));
}

#[test]
fn a_command_is_never_larger_than_its_weight() {
    let all = [commands(), commands_of_repair(), commands_in_pages()];
    for command in all.into_iter().flatten() {
        let stored = postcard::to_stdvec(&store_command(&command)).unwrap();
        assert!(stored.len() <= command.weight(), "{command:?}");
    }
}
