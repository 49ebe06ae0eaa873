//! The configuration, in two stages: as written in a file, and as resolved for one server.
//!
//! A path comes in, [`Settings`] go out. The command line calls it at the start, and the node again
//! on SIGHUP, for the limits:
//!
//! ```text
//! path --file--> text --keys--> known keys --written--> values
//!      --resolve, members, duplicates--> Config --select--> Settings
//! ```
//!
//! All that can be wrong with a file is a [`ConfigError`] with its line and column; what is only
//! unwise is a [`Warning`]. Nothing is created and nothing is listened on here.

mod duplicates;
mod error;
mod file;
mod keys;
mod members;
mod resolve;
mod secret;
mod select;
mod settings;
mod values;
mod written;

use std::path::{Path, PathBuf};

pub use error::{ConfigError, Position, Warning};
pub use file::FILE_MAX;
pub use members::Server;
pub use secret::{SECRET_MIN, Secret};
pub use select::Selection;
pub use settings::{
    Ack, CatalogueSettings, ClusterSettings, DepositSettings, Limits, NAME_ALONE, Settings,
    VolumeSettings,
};

pub(crate) use error::shown;

use error::Source;

/// A configuration that can be used: every value in its range, every server unlike the others.
#[derive(Debug, Clone)]
pub struct Config {
    file: PathBuf,
    cluster: ClusterSettings,
    secret: Option<Secret>,
    also_accept: Vec<Secret>,
    ack: Ack,
    limits: Limits,
    deposit: DepositSettings,
    volume: VolumeSettings,
    catalogue: CatalogueSettings,
    /// At least one.
    servers: Vec<Server>,
}

/// A configuration, and what its operator should know of it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but is unwise, for the caller to log.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads a file, and the secret's file if it names one.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, or holds what cannot be used.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let (text, access) = file::read(path)?;
        let source = Source { file: path, text: &text };
        let written = file::parse(&source)?;
        let mut warnings = Vec::new();
        let config = resolve::resolve(&source, written, &access, &mut warnings)?;
        Ok(Loaded { config, warnings })
    }

    /// The settings of the one server that the command line means.
    ///
    /// # Errors
    /// No server of the file is meant, or more than one.
    pub fn settings_for(&self, selection: &Selection) -> Result<Settings, ConfigError> {
        let server = select::select(self, selection)?;
        Ok(Settings {
            server: server.name.clone(),
            listen: server.address,
            data: server.data.clone(),
            members: self.servers.clone(),
            cluster: self.cluster.clone(),
            secret: self.secret.clone(),
            also_accept: self.also_accept.clone(),
            ack: self.ack,
            limits: self.limits.clone(),
            deposit: self.deposit.clone(),
            volume: self.volume.clone(),
            catalogue: self.catalogue.clone(),
        })
    }

    /// The limits, which are the same for every server.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the servers agree on.
    #[must_use]
    pub fn cluster(&self) -> &ClusterSettings {
        &self.cluster
    }

    /// The key that the servers share.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Further keys that are taken from other servers while the key changes.
    #[must_use]
    pub fn also_accept(&self) -> &[Secret] {
        &self.also_accept
    }

    /// How many copies a deposit waits for.
    #[must_use]
    pub fn ack(&self) -> Ack {
        self.ack
    }

    /// The servers in the order of the file; at least one.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// How many servers may fail at once while the rest still is a majority. Every server votes.
    #[must_use]
    pub fn tolerated_failures(&self) -> usize {
        self.servers.len().saturating_sub(1) / 2
    }
}
