//! The simulated cluster's operator: founds it, and admits the server whose disk was lost, as
//! `depot-server init` and `admit` do.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use depot_server::cluster::Proven;
use depot_server::config::Server;
use depot_server::operator::{self, Founding, MemberStatus, Question, Reply, Status};
use depot_server::seams::Seams;
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::seams;
use depot_tests::twins::turmoil_network::TurmoilNetwork;
use tokio::time::sleep;

use crate::world::{Stage, World};

/// How long a server may take to answer.
const WITHIN: Duration = Duration::from_secs(10);
/// How long until what was not possible is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Founds the cluster, and is there until all is calm and each server votes.
pub(crate) async fn work(world: World) -> Result<(), Box<dyn Error>> {
    let (seams, _) = seams(Arc::new(TokioClock::start()), Arc::new(TurmoilNetwork), !world.seed);
    let operator = Operator { world, seams };
    operator.found().await?;
    operator.world.begins(Stage::Storm);
    while operator.world.stage() == Stage::Storm || operator.world.replaced().is_some() {
        sleep(AGAIN).await;
        let Some(server) = operator.world.replaced() else { continue };
        if operator.admit(server).await.is_some() {
            operator.world.has_admitted(server);
        }
    }
    Ok(())
}

struct Operator {
    world: World,
    seams: Seams,
}

impl Operator {
    async fn found(&self) -> Result<(), Box<dyn Error>> {
        let servers = self.world.servers();
        let founders: Vec<String> = servers.iter().map(|server| server.name.to_string()).collect();
        let cluster = self.world.cluster();
        for server in servers {
            let founding = Founding { cluster, incarnation: 1, founders: founders.clone() };
            loop {
                match self.ask(server, &Question::Found(founding.clone())).await {
                    Some(Reply::Founded) => break,
                    Some(other) => return Err(format!("{}: {other:?}", server.name).into()),
                    None => sleep(AGAIN).await, // not listening yet
                }
            }
        }
        Ok(())
    }

    /// One try; `None` is "again".
    async fn admit(&self, at: usize) -> Option<()> {
        let server = &self.world.servers()[at];
        let (leader, members) = self.leader().await?;
        let (met, _) = self.converse(server, &Question::Status).await?;
        if met.cluster.is_none() {
            let question = Question::Admit { server: server.name.to_string() };
            let Reply::Admitted { incarnation } = self.ask(leader, &question).await? else {
                return None;
            };
            let cluster = self.world.cluster();
            let founding = Founding { cluster, incarnation, founders: Vec::new() };
            self.ask(server, &Question::Found(founding)).await?;
            return None;
        }
        let votes = |member: &MemberStatus| {
            member.server == server.name.as_str()
                && member.incarnation == met.start.incarnation
                && member.votes
        };
        members.iter().any(votes).then_some(())
    }

    /// Who leads by its own word, and who belongs to the catalogue.
    async fn leader(&self) -> Option<(&Server, Vec<MemberStatus>)> {
        for server in self.world.servers() {
            let Some(Reply::Status(status)) = self.ask(server, &Question::Status).await else {
                continue;
            };
            let Status { catalogue: Some(catalogue), .. } = *status else { continue };
            if catalogue.quorum && catalogue.leader.as_deref() == Some(server.name.as_str()) {
                return Some((server, catalogue.members));
            }
        }
        None
    }

    async fn ask(&self, server: &Server, question: &Question) -> Option<Reply> {
        self.converse(server, question).await.map(|(_, reply)| reply)
    }

    /// Whom one meets there, and what it answers.
    async fn converse(&self, server: &Server, question: &Question) -> Option<(Proven, Reply)> {
        operator::ask(&self.seams, self.world.config(), server, question, WITHIN).await.ok()
    }
}
