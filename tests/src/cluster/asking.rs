//! What the stories ask of a cluster again and again, and wait for.

use std::time::Duration;

use super::Cluster;
use crate::content::made_up_id;
use crate::headers;
use crate::wait::eventually_within;
use crate::{Raw, answer};

/// How long an election, a copy in the background or a server's way back may take, several of which
/// may follow one another on a busy machine.
const SOON: Duration = Duration::from_secs(90);

impl Cluster {
    /// Waits until every running server serves with a majority and knows that all others do.
    #[track_caller]
    pub fn ready(&self) {
        let clients = self.holders();
        let running = clients.iter().filter(|&&server| self.runs(server)).copied();
        for server in running.collect::<Vec<_>>() {
            eventually_within(SOON, &format!("{} is ready", self.name(server)), || {
                self.serves(server) && self.sees(server)
            });
        }
    }

    /// Whether it answers in the cluster's name, with the latest state.
    pub fn serves(&self, server: usize) -> bool {
        let list = headers::list(&made_up_id(), 1, "");
        let answer = Raw::try_connect(self.address(server)).ok().and_then(|mut raw| {
            raw.try_send(format!("{list}\n")).ok()?;
            raw.line_or_end()
        });
        answer.is_some_and(|line| line == "resultado:1|itens:0|mais:0")
    }

    /// Whether it sees as running just those servers that do.
    fn sees(&self, server: usize) -> bool {
        let states = self.states(server);
        let right = |line: &String| {
            let name = answer::field(line, "servidor");
            let number = (0..self.size()).find(|&other| self.name(other) == name);
            number.is_some_and(|other| (answer::field(line, "ativo") == "1") == self.runs(other))
        };
        states.len() >= self.holders().len() && states.iter().all(right)
    }

    /// The servers as one of them tells clients of them.
    #[track_caller]
    pub fn states(&self, server: usize) -> Vec<String> {
        let mut client = self.raw(server);
        let line = client.ask(headers::state(&made_up_id()));
        (0..answer::number(&line, "itens")).map(|_| client.line()).collect()
    }

    /// Waits until a file has so many replicas, as told by a server.
    #[track_caller]
    pub fn wait_copies(&self, server: usize, id: &str, name: &str, copies: usize) {
        let (mut client, what) = (self.raw(server), format!("{copies} replicas of {name}"));
        eventually_within(SOON, &what, || {
            let line = client.ask(headers::stat(id, name));
            line.starts_with("resultado:1|") && answer::number(&line, "copias") == copies
        });
    }

    /// The servers in whose volumes a content lies.
    pub fn holding(&self, hash: &str) -> Vec<usize> {
        (0..self.size()).filter(|&server| self.folder(server).blob(hash).is_file()).collect()
    }

    /// The servers that are taking in an upload or keep a part.
    pub fn staging(&self) -> Vec<usize> {
        (0..self.size()).filter(|&server| !self.folder(server).staged().is_empty()).collect()
    }

    /// Who leads; waits until one does.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let mut leader = None;
        eventually_within(SOON, "a leader", || {
            let status = self.operator(&["status"]).stdout;
            let leading = status.lines().filter(|line| line.contains("a majority answers"));
            let mut names = leading
                .filter_map(|line| line.split_once("catalogue: ")?.1.split_once(" leads in term"));
            let name = names.next().map(|(name, _)| name.to_owned());
            leader = (0..self.size()).find(|&server| Some(self.name(server)) == name.as_deref());
            leader.is_some()
        });
        leader.expect("it was found")
    }

    /// Two servers that are not this one.
    pub fn others(&self, server: usize) -> Vec<usize> {
        self.holders().into_iter().filter(|&other| other != server).collect()
    }
}
