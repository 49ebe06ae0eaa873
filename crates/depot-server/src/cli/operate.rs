//! The operator's commands: found a cluster, see how it is, admit a server, have copies read again.
//! They are clients of the peer ports that the configuration names; nothing of theirs happens in this process.

mod status;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use depot_protocol::ServerName;

use crate::cluster::members::Members;
use crate::cluster::{ClusterId, Proven};
use crate::config::{Config, Selection, Server};
use crate::exit::Exit;
use crate::operator::{self, AskError, Founding, MemberStatus, Question, Reply, Status};
use crate::seams::Seams;
use crate::telemetry;

/// How long one thing that a server is asked for may take.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// How long a newcomer may take to catch up before it votes.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(3600);
/// How long a founded cluster may take to elect its leader.
const LEADER_WITHIN: Duration = Duration::from_secs(15);
/// How often it is asked whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// A server can't be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It is not done, for this reason.
    #[error("{0}")]
    Refused(String),
    /// stdout.
    #[error("cannot write to stdout")]
    Output(#[from] io::Error),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Found the cluster of the file.
    Init,
    /// Say how each server of the file is.
    Status,
    /// Take a server of the file into the cluster.
    Admit(ServerName),
    /// Have a server of the file, or all, read their copies again.
    Scrub(Option<ServerName>),
}

/// Carries out an operator's command on the cluster of a file: what comes of it on stdout, what is
/// wrong on stderr.
#[must_use]
pub fn operate(path: &Path, operation: &Operation) -> Exit {
    let config = match Config::load(path) {
        Ok(loaded) => loaded.config,
        Err(error) => return super::Refusal::from(error).report(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let operator = Operator { seams: Seams::system(), config };
            match operation {
                Operation::Init => operator.init().await,
                Operation::Status => operator.status().await,
                Operation::Admit(server) => operator.admit(server).await,
                Operation::Scrub(server) => operator.scrub(server.as_ref()).await,
            }
        }),
        Err(error) => Err(Failed::Output(error)),
    };
    match done {
        Ok(()) => Exit::Stopped,
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Stopped,
        Err(error) => {
            super::tell(&format!("error: {}\n", telemetry::chain(&error)));
            Exit::Cluster
        }
    }
}

struct Operator {
    seams: Seams,
    config: Config,
}

impl Operator {
    /// Reaches all, refuses unless all wait and run by this list, then founds one after the other.
    /// Cut short anywhere, it can be begun again: it goes on where nothing was ever decided.
    async fn init(&self) -> Result<(), Failed> {
        let servers = self.config.servers();
        if servers.len() == 1 {
            return Err(Failed::Refused(
                "a depot of one founds itself on its first start: there is nothing to do".into(),
            ));
        }
        let mut founded = Vec::new();
        let mut waiting = Vec::new();
        for server in servers {
            let (met, _) = self.look(server).await?;
            self.check_list(server, &met)?;
            match met.cluster {
                None => waiting.push(server),
                Some(cluster) => founded.push((server, cluster)),
            }
        }
        let cluster: ClusterId = match founded.first() {
            None => self.seams.entropy.bytes(),
            Some((_, cluster)) if !waiting.is_empty() && self.only_begun(&founded).await? => {
                *cluster
            }
            Some(_) => return Err(already(&founded, &waiting)),
        };
        let founders: Vec<String> =
            servers.iter().map(|server| server.name.as_str().to_owned()).collect();
        for server in waiting {
            let founding = Founding { cluster, incarnation: 1, founders: founders.clone() };
            self.found(server, founding).await?;
        }
        let leader = self.leader(LEADER_WITHIN).await?;
        let mut output = io::stdout().lock();
        writeln!(
            output,
            "founded the cluster {} of {}; {} leads",
            hex(&cluster),
            founders.join(", "),
            leader.name
        )?;
        Ok(())
    }

    /// Whether these are what an `init` has left that was cut short: of one cluster, founded by this
    /// list, and nothing was ever decided by any of them. The rest waits on empty folders, so there
    /// is nothing anywhere that going on could lose.
    async fn only_begun(&self, founded: &[(&Server, ClusterId)]) -> Result<bool, Failed> {
        let founders = |members: &[MemberStatus]| {
            let servers = self.config.servers();
            let is = |member: &MemberStatus| {
                let named = |server: &Server| server.name.as_str() == member.server;
                member.incarnation == 1 && servers.iter().any(named)
            };
            members.len() == servers.len() && members.iter().all(is)
        };
        let until = tokio::time::Instant::now() + LEADER_WITHIN;
        for (server, cluster) in founded {
            // Without the others it takes a while to open its catalogue.
            let (met, catalogue) = loop {
                match self.look(server).await? {
                    (met, Status { catalogue: Some(catalogue), .. }) => break (met, catalogue),
                    _ if tokio::time::Instant::now() >= until => return Ok(false),
                    _ => tokio::time::sleep(LOOK_AGAIN).await,
                }
            };
            let begun = *cluster == founded[0].1
                && met.start.incarnation == 1
                && catalogue.applied == 0
                && founders(&catalogue.members);
            if !begun {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One line and more for each server; what can't be reached is a line too.
    async fn status(&self) -> Result<(), Failed> {
        let mut reached = 0;
        let mut last = None;
        for server in self.config.servers() {
            let asked = self.look(server).await;
            let mut output = io::stdout().lock();
            match asked {
                Ok((met, status)) => {
                    reached += 1;
                    status::describe(server, &met, &status, &mut output)?;
                }
                Err(error) => {
                    writeln!(output, "{}: not reached: {}", server.name, telemetry::chain(&error))?;
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) if reached == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// The catalogue first, then the folder, then the vote: cut short anywhere, it can be begun
    /// again.
    async fn admit(&self, name: &ServerName) -> Result<(), Failed> {
        let server = self.server(name)?;
        let (met, _) = self.look(server).await?;
        self.check_list(server, &met)?;
        let leader = self.leader(LEADER_WITHIN).await?;
        let (of, _) = self.look(leader).await?;
        let Some(cluster) = of.cluster else {
            return Err(Failed::Refused(format!("the server {} waits itself", leader.name)));
        };
        match met.cluster {
            Some(other) if other != cluster => {
                return Err(Failed::Refused(format!(
                    "the folder of {name} belongs to another cluster ({}): name an empty one",
                    hex(&other)
                )));
            }
            Some(_) => {} // founded by an admission that was cut short
            None => {
                let question = Question::Admit { server: name.as_str().to_owned() };
                let incarnation = match self.ask(leader, &question, DONE_WITHIN).await? {
                    (_, Reply::Admitted { incarnation }) => incarnation,
                    (_, other) => return Err(unexpected(leader, other)),
                };
                let founding = Founding { cluster, incarnation, founders: Vec::new() };
                self.found(server, founding).await?;
            }
        }
        self.votes(name).await?;
        writeln!(io::stdout().lock(), "{name} is a server of the cluster {}", hex(&cluster))?;
        Ok(())
    }

    /// Begins it, and says so; all of them are asked even where one can't be. A witness has nothing
    /// to read.
    async fn scrub(&self, name: Option<&ServerName>) -> Result<(), Failed> {
        let servers: Vec<&Server> = match name {
            Some(name) => vec![self.server(name)?],
            None => self.config.servers().iter().filter(|server| !server.witness).collect(),
        };
        let mut done = Ok(());
        for server in servers {
            let failed = match self.ask(server, &Question::Scrub, DONE_WITHIN).await {
                Ok((_, Reply::Scrubbing)) => {
                    writeln!(io::stdout().lock(), "{} reads its copies again", server.name)?;
                    continue;
                }
                Ok((_, other)) => unexpected(server, other),
                Err(error) => error.into(),
            };
            match done {
                Ok(()) => done = Err(failed),
                Err(_) => super::tell(&format!("error: {}\n", telemetry::chain(&failed))),
            }
        }
        done
    }

    fn server(&self, name: &ServerName) -> Result<&Server, Failed> {
        let named = self.config.servers().iter().find(|server| server.name == *name);
        let none = || Failed::Refused(format!("the configuration has no server \"{name}\""));
        named.ok_or_else(none)
    }

    /// Waits until a server has caught up and votes, in the life that its folder has.
    async fn votes(&self, name: &ServerName) -> Result<(), Failed> {
        let until = tokio::time::Instant::now() + CATCH_UP_WITHIN;
        while tokio::time::Instant::now() < until {
            let leader = self.leader(LEADER_WITHIN).await?;
            let newcomer = self.config.servers().iter().find(|server| server.name == *name);
            let life = self.look(newcomer.unwrap_or(leader)).await?.0.start.incarnation;
            let catalogue = self.look(leader).await?.1.catalogue;
            let members = catalogue.map(|catalogue| catalogue.members).unwrap_or_default();
            let votes = |member: &MemberStatus| {
                member.server == name.as_str() && member.incarnation == life && member.votes
            };
            if members.iter().any(votes) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failed::Refused(format!(
            "{name} does not catch up: it is no voter yet; it becomes one when it has, see `depot-server status`"
        )))
    }

    /// Whom one meets at a server's peer port, and how it is.
    async fn look(&self, server: &Server) -> Result<(Proven, Status), Failed> {
        match self.ask(server, &Question::Status, DONE_WITHIN).await? {
            (met, Reply::Status(status)) => Ok((met, *status)),
            (_, other) => Err(unexpected(server, other)),
        }
    }

    async fn found(&self, server: &Server, founding: Founding) -> Result<(), Failed> {
        match self.ask(server, &Question::Found(founding), DONE_WITHIN).await? {
            (_, Reply::Founded) => Ok(()),
            (_, other) => Err(unexpected(server, other)),
        }
    }

    /// Asks all that answer who leads, until they know.
    async fn leader(&self, within: Duration) -> Result<&Server, Failed> {
        let until = tokio::time::Instant::now() + within;
        loop {
            for server in self.config.servers() {
                let Ok((_, status)) = self.look(server).await else { continue };
                // The others may not know yet that it does not lead any more, or even that its
                // folder was emptied.
                let catalogue = status.catalogue.filter(|catalogue| catalogue.quorum);
                let leader = catalogue.and_then(|catalogue| catalogue.leader);
                if leader.is_some_and(|leader| leader == server.name.as_str()) {
                    return Ok(server);
                }
            }
            if tokio::time::Instant::now() >= until {
                return Err(Failed::Refused(
                    "no majority of the servers has a leader: start more of them, or see `depot-server status`"
                        .into(),
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn ask(
        &self,
        server: &Server,
        question: &Question,
        within: Duration,
    ) -> Result<(Proven, Reply), AskError> {
        operator::ask(&self.seams, &self.config, server, question, within).await
    }

    fn check_list(&self, server: &Server, met: &Proven) -> Result<(), Failed> {
        let selection = Selection { name: Some(server.name.clone()), port: None };
        let own = self.config.settings_for(&selection).map(|settings| Members::of(&settings));
        let own = own.map_err(|error| Failed::Refused(error.to_string()))?;
        if met.fingerprint == own.fingerprint() {
            return Ok(());
        }
        Err(Failed::Refused(format!(
            "the server {} runs by another list of servers than this file: start it with the same file",
            server.name
        )))
    }
}

/// Why there is nothing to found.
fn already(founded: &[(&Server, ClusterId)], waiting: &[&Server]) -> Failed {
    let names = |list: &mut dyn Iterator<Item = &Server>| {
        list.map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let are = names(&mut founded.iter().map(|(server, _)| *server));
    let cluster = hex(&founded[0].1);
    Failed::Refused(match waiting.first() {
        None => format!("{are} belong to a cluster already ({cluster})"),
        Some(first) => format!(
            "{are} belong to the cluster {cluster} already; {} have empty folders: \
             `depot-server admit --config FILE {}` takes such a one in",
            names(&mut waiting.iter().copied()),
            first.name,
        ),
    })
}

fn unexpected(server: &Server, reply: Reply) -> Failed {
    Failed::Refused(match reply {
        Reply::Refused(why) => format!("the server {} refuses: {why}", server.name),
        Reply::Elsewhere { leader: Some(leader) } => {
            format!("the server {} does not lead any more, {leader} does: try again", server.name)
        }
        Reply::Elsewhere { leader: None } => {
            format!(
                "the server {} does not lead, and knows nobody who does: try again",
                server.name
            )
        }
        _ => format!("the server {} answered something else than it was asked", server.name),
    })
}

fn hex(id: &[u8; 16]) -> uuid::fmt::Simple {
    uuid::Uuid::from_bytes(*id).simple()
}
