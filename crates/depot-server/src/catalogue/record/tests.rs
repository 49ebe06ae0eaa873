use super::*;

fn holder(who: HolderId, state: HolderState) -> Holder {
    Holder { who, state }
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

#[test]
fn only_servers_with_a_proven_copy_count() {
    let confirmed = HolderState::Confirmed { incarnation: Incarnation(1) };
    let record = |holders| Record {
        version: Version(1),
        digest: Digest::EMPTY,
        size: FileSize::ZERO,
        replicas: ReplicaCount::new(2),
        deposited: UtcSeconds::new(0),
        holders,
        operation: OperationId([0; 16]),
    };
    let one = record(vec![
        holder(HolderId::Server(server("a")), confirmed),
        holder(HolderId::Server(server("b")), HolderState::Wanted),
        holder(HolderId::Guest([1; 16]), confirmed),
    ]);
    assert_eq!(one.confirmed().collect::<Vec<_>>(), [(&server("a"), Incarnation(1))]);
    assert!(one.wants(&server("b")) && !one.wants(&server("a")));
    assert!(one.held_by(&server("a")) && one.lists(&server("a")));
    assert!(!one.held_by(&server("b")) && one.lists(&server("b")));
    assert!(!one.lists(&server("c")));
    assert_eq!(record(vec![]).confirmed().count(), 0);
    let all = ["a", "b", "c"].map(|name| holder(HolderId::Server(server(name)), confirmed));
    assert_eq!(record(all.to_vec()).confirmed().count(), 3);
}

#[test]
fn a_namespace_is_the_hash_that_the_design_names() {
    let client = ClientId::from_random([9; 16]);
    let hash = Sha256::new()
        .chain_update(b"depot namespace 1")
        .chain_update([3; 16])
        .chain_update(client.as_bytes());
    let namespace = Namespace::of(&[3; 16], &client);
    assert_eq!(*namespace.as_bytes(), <[u8; 32]>::from(hash.finalize()));
    assert_ne!(namespace, Namespace::of(&[4; 16], &client));
}
