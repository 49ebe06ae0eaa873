use depot_protocol::{ReplicaCount, ServerName};

use super::*;
use crate::catalogue::machine::Change;
use crate::catalogue::record::{Holder, HolderId, HolderState, Incarnation, Record, Version};
use crate::catalogue::walk::tests::record;

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn file(content: u8, holders: &[(&str, bool)]) -> Option<Record> {
    let holder = |(name, confirmed): &(&str, bool)| Holder {
        who: HolderId::Server(server(name)),
        state: match confirmed {
            true => HolderState::Confirmed { incarnation: Incarnation(1) },
            false => HolderState::Wanted,
        },
    };
    Some(Record { holders: holders.iter().map(holder).collect(), ..record(content) })
}

fn told(before: Option<Record>, after: Option<Record>) -> Vec<Event> {
    let (events, mut heard) = Events::channel();
    let namespace = Namespace::from_bytes([1; 32]);
    let name = FileName::parse("x").unwrap();
    let files = vec![Change { namespace, name, before, after }];
    events.tell(&server("a"), &Changes { files, servers: false });
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

fn released(content: u8) -> Event {
    Event::Released(Digest::from_bytes([content; 32]))
}

fn wanted(content: u8, cause: Cause) -> Event {
    let (namespace, name) = (Namespace::from_bytes([1; 32]), FileName::parse("x").unwrap());
    Event::Wanted { namespace, name, digest: Digest::from_bytes([content; 32]), cause }
}

fn lacking() -> Event {
    let (namespace, name) = (Namespace::from_bytes([1; 32]), FileName::parse("x").unwrap());
    Event::Lacking { namespace, name }
}

#[test]
fn a_server_hears_of_what_it_may_let_go_of_and_of_what_it_shall_get() {
    let (mine, theirs) = ([("a", true)], [("b", true)]);
    assert_eq!(told(None, file(1, &mine)), []);
    assert_eq!(told(file(1, &mine), None), [released(1)]);
    assert_eq!(told(file(1, &mine), file(2, &theirs)), [released(1)]);
    assert_eq!(told(file(1, &theirs), None), []);
    assert_eq!(told(None, file(1, &[("b", true), ("a", false)])), [wanted(1, Cause::Deposit)]);
    let replaced = told(file(1, &mine), file(2, &[("a", false)]));
    assert_eq!(replaced, [released(1), wanted(2, Cause::Deposit), lacking()]);
    // Wanted before, and still; or by now confirmed.
    assert_eq!(told(file(1, &[("a", false)]), file(1, &[("a", false), ("b", true)])), []);
    assert_eq!(told(file(1, &[("a", false)]), file(1, &mine)), []);
}

#[test]
fn a_server_hears_why_it_shall_get_a_copy() {
    let theirs = || file(1, &[("b", true)]);
    let both = || file(1, &[("b", true), ("a", false)]);
    assert_eq!(told(theirs(), both()), [wanted(1, Cause::Lacking)]);
    let later = both().map(|file| Record { version: Version(file.version.0 + 1), ..file });
    assert_eq!(told(theirs(), later), [wanted(1, Cause::Deposit)], "more replicas are wished for");
    let mine = file(1, &[("b", true), ("a", true)]);
    assert_eq!(told(mine, both()), [wanted(1, Cause::Lost)]);
}

#[test]
fn every_server_hears_of_records_that_count_too_few() {
    let wished =
        |file: Option<Record>| file.map(|file| Record { replicas: ReplicaCount::new(1), ..file });
    let one = || wished(file(1, &[("b", true), ("c", false)]));
    let two = || wished(file(1, &[("b", true), ("c", true)]));
    assert_eq!(told(None, one()), [lacking()]);
    assert_eq!(told(two(), one()), [lacking()]);
    assert_eq!(told(one(), two()), []);
    assert_eq!(told(one(), None), []);
}

#[test]
fn a_server_hears_of_records_that_list_too_many() {
    let name = FileName::parse("x").unwrap();
    let surplus = Event::Surplus { namespace: Namespace::from_bytes([1; 32]), name };
    let three = file(1, &[("a", true), ("b", true), ("c", true)]);
    let heard = told(None, three.clone());
    assert_eq!(heard, std::slice::from_ref(&surplus), "none was wished for");
    let wished = three.map(|file| Record { replicas: ReplicaCount::new(2), ..file });
    assert_eq!(told(None, wished), []);
    let theirs = file(1, &[("b", true), ("c", true)]);
    assert_eq!(told(None, theirs), [], "it does not list this server");
    let wanted_too = file(1, &[("a", false), ("b", true), ("c", true)]);
    assert_eq!(told(None, wanted_too), [wanted(1, Cause::Deposit), surplus]);
}

#[test]
fn a_server_hears_that_other_copies_count_than_before() {
    let (events, mut heard) = Events::channel();
    events.tell(&server("a"), &Changes { files: vec![], servers: true });
    assert_eq!(heard.try_recv().unwrap(), Event::Servers);
}

#[test]
fn when_too_many_wait_the_last_one_says_to_look_at_all() {
    let (events, mut heard) = Events::channel();
    for _ in 0..QUEUE + 10 {
        events.put(released(1));
    }
    for _ in 0..QUEUE - 1 {
        assert_eq!(heard.try_recv().unwrap(), released(1));
    }
    assert_eq!(heard.try_recv().unwrap(), Event::LookAtAll);
    assert!(heard.try_recv().is_err());
    events.put(released(2));
    assert_eq!(heard.try_recv().unwrap(), released(2));
}
