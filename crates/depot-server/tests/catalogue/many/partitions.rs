//! A network that is cut, and answers that are lost: what is certain then, and what is not.

use std::time::Duration;

use depot_server::catalogue::{Catalogue, Command, Freshness, Outcome, ProposeError};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, put, remove};

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_acknowledges_nothing_and_the_others_go_on() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.leader().await.put("before").await;
    let old = cluster.leader().await;
    let others = cluster.followers().await;
    cluster.net.part(&[&old.name], &[&others[0].name, &others[1].name]);

    // It does not know yet: this one is in its log, and nobody can say what becomes of it.
    let begun = Instant::now();
    let first = old.propose(Command::Put(put("lost"))).await;
    assert_eq!(first, Err(ProposeError::Unknown));
    assert!(begun.elapsed() < Duration::from_secs(14), "pitfall 6: {:?}", begun.elapsed());

    // By now it does: nothing more is proposed, and it says so at once.
    assert!(!old.catalogue.has_quorum());
    let begun = Instant::now();
    assert_eq!(old.propose(Command::Put(put("no"))).await, Err(ProposeError::NoQuorum));
    let (names, freshness) = old.names_as_they_are().await;
    assert_eq!((names, freshness), (vec!["before".to_owned()], Freshness::Local));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let leader = cluster.leader().await;
    assert_ne!(leader.name, old.name);
    leader.put("after").await;
    cluster.net.heal();
    cluster.until("it is back", |_| old.catalogue.has_quorum()).await;
    for server in cluster.running.values() {
        let names = server.names().await;
        assert!(names.contains(&"before".into()) && names.contains(&"after".into()), "{names:?}");
        assert!(!names.contains(&"no".into()), "it was not proposed, and is there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_cut_off_says_so_and_shows_what_it_knows() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.leader().await.put("before").await;
    let leader = cluster.leader().await;
    let followers = cluster.followers().await;
    let (alone, other) = (followers[0], followers[1]);
    assert_eq!(alone.names().await, ["before"]);
    cluster.net.part(&[&alone.name], &[&leader.name, &other.name]);
    let begun = Instant::now();
    assert_eq!(alone.propose(Command::Put(put("no"))).await, Err(ProposeError::NoQuorum));
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    leader.put("after").await;
    let (names, freshness) = alone.names_as_they_are().await;
    assert_eq!((names, freshness), (vec!["before".to_owned()], Freshness::Local));
    cluster.net.heal();
    cluster.until("it is back", |_| alone.catalogue.has_quorum()).await;
    cluster.leader().await;
    assert_eq!(alone.names().await, ["after", "before"]);
}

/// It hears a leader, who has lost the majority as well: that is no quorum.
#[tokio::test(start_paused = true)]
async fn two_of_five_have_no_quorum_though_they_hear_each_other() {
    let cluster = Cluster::of(&["a", "b", "c", "d", "e"]).await;
    let leader = cluster.leader().await;
    let followers = cluster.followers().await;
    let few = [&leader.name, &followers[0].name];
    let many: Vec<_> = followers[1..].iter().map(|server| &server.name).collect();
    cluster.net.part(&few, &many);
    for server in [leader, followers[0]] {
        cluster.until("it has no quorum", |_| !server.catalogue.has_quorum()).await;
        let refused = server.propose(Command::Put(put("no"))).await;
        assert_eq!(refused, Err(ProposeError::NoQuorum), "{}", server.name);
    }
    let others = &followers[1..];
    cluster
        .until("the others have one", |_| others.iter().all(|server| server.catalogue.has_quorum()))
        .await;
    others[0].put("yes").await;
}

/// The leader has done it, and its answer is lost. The same commands are sent again, and found to
/// have been done.
#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_was_lost_is_done_once() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (leader, follower) = (cluster.leader().await, cluster.followers().await[0]);
    cluster.net.lose_answers(&follower.name, &leader.name);
    let change = put("x");
    let proposal = follower.propose(Command::Put(change.clone()));
    let heal = async {
        sleep(Duration::from_secs(4)).await;
        assert_eq!(leader.names().await, ["x"], "it is done, and not answered");
        cluster.net.heal();
    };
    let (applied, ()) = tokio::join!(proposal, heal);
    let Outcome::Done(record) = applied.unwrap().outcome else { panic!("not done") };
    assert_eq!(record.operation, change.operation);
    assert_eq!(follower.names().await, ["x"]);
}

/// The same, and meanwhile somebody has removed it again. That it is gone does not say that it was
/// never there.
#[tokio::test(start_paused = true)]
async fn what_the_first_try_may_have_caused_is_told_as_unknown() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (leader, follower) = (cluster.leader().await, cluster.followers().await[0]);
    cluster.net.lose_answers(&follower.name, &leader.name);
    let change = put("x");
    let seen = leader.catalogue.view().await.unwrap().applied().unwrap();
    let change = depot_server::catalogue::command::Put { seen, ..change };
    let proposal = follower.propose(Command::Put(change));
    let beside = follower.propose(Command::Put(put("y")));
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        let view = leader.catalogue.view().await.unwrap();
        let record = view.get(&super::cluster::client(), &super::cluster::name("x")).unwrap();
        leader.propose(remove("x", record.unwrap().version)).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        cluster.net.heal();
    };
    let (applied, beside, ()) = tokio::join!(proposal, beside, meanwhile);
    assert_eq!(applied, Err(ProposeError::Unknown));
    assert!(matches!(beside.unwrap().outcome, Outcome::Done(_)), "the other one of the batch");
    assert_eq!(follower.names().await, ["y"], "a late duplicate brought x back");
}

/// Answers are lost for longer than anybody waits.
#[tokio::test(start_paused = true)]
async fn pitfall_6_every_change_has_its_time() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (leader, follower) = (cluster.leader().await, cluster.followers().await[0]);
    cluster.net.lose_answers(&follower.name, &leader.name);
    let begun = Instant::now();
    assert_eq!(follower.propose(Command::Put(put("x"))).await, Err(ProposeError::Unknown));
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pitfall_1_whoever_is_cut_off_somebody_is_elected_soon() {
    for round in 0..10_u64 {
        let cluster = Cluster::of(&["a", "b", "c"]).await;
        depot_server::catalogue::runtime::seed(Some(round));
        let old = cluster.leader().await;
        let others = cluster.followers().await;
        cluster.net.part(&[&old.name], &[&others[0].name, &others[1].name]);
        let begun = Instant::now();
        loop {
            let leader = cluster.leader().await;
            if leader.name != old.name {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "{round}: {:?}", begun.elapsed());
    }
}
