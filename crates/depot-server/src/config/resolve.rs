//! From the configuration as written to the configuration as resolved: defaults, ranges, secrets.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use toml::Spanned;

use super::error::{ConfigError, Source, Warning};
use super::secret::{self, Access, Reach, Secret};
use super::settings::{
    CatalogueSettings, ClusterSettings, DepositSettings, Limits, VolumeSettings, range,
};
use super::values::{Count, Size, Time};
use super::written::{self, Key};
use super::{Config, members};

/// The configuration that was written in this file.
pub(super) fn resolve(
    source: &Source,
    written: written::File,
    access: &Access,
    warnings: &mut Vec<Warning>,
) -> Result<Config, ConfigError> {
    let folder = &members::folder_of(source.file);
    let values = Values { source };
    let servers = members::resolve(source, folder, &written.server)?;
    let cluster = values.cluster(&written.cluster)?;
    let reach = members::reach(source, &written.server, cluster.insecure, warnings)?;
    let secrets = Secrets { source, folder, reach, access, several: servers.len() > 1 };
    let (secret, also_accept) = secrets.resolve(&written.cluster, warnings)?;
    let config = Config {
        file: source.file.to_owned(),
        cluster,
        secret,
        also_accept,
        ack: written.deposit.ack.unwrap_or_default(),
        limits: values.limits(&written.limits)?,
        deposit: values.deposit(&written.deposit)?,
        volume: values.volume(&written.volume)?,
        catalogue: values.catalogue(&written.catalogue)?,
        servers,
    };
    let voters = config.servers.len();
    if voters.is_multiple_of(2) {
        let survives = config.tolerated_failures();
        warnings.push(Warning::new(format!(
            "{voters} servers vote, an even number: {survives} may fail, as with {}; one more or \
             one fewer is better (a witness = true votes and holds no files)",
            voters - 1
        )));
    }
    Ok(config)
}

/// A table's settings: for each key its kind and the range that it is held to. The default and the
/// name in messages follow from the key.
macro_rules! section {
    ($values:expr, $written:expr, $table:literal, $settings:ident {
        $($key:ident: $kind:ident in $range:ident),+ $(,)?
    }) => {{
        let default = $settings::default();
        Ok($settings {
            $($key: $values.$kind(
                &$written.$key,
                default.$key,
                concat!($table, ".", stringify!($key)),
                range::$range,
            )?),+
        })
    }};
}

/// Turns keys into values of settings.
pub(super) struct Values<'a> {
    pub(super) source: &'a Source<'a>,
}

impl Values<'_> {
    fn cluster(&self, cluster: &written::Cluster) -> Result<ClusterSettings, ConfigError> {
        let default = ClusterSettings::default();
        let time = |key, default, name| self.time(key, default, name, range::KEEP);
        let (after, last) = ("cluster.repair_after", "cluster.repair_after_last");
        Ok(ClusterSettings {
            name: cluster.name.as_ref().map(|name| name.get_ref().0.clone()),
            repair_after: time(&cluster.repair_after, default.repair_after, after)?,
            repair_after_last: time(&cluster.repair_after_last, default.repair_after_last, last)?,
            insecure: cluster.insecure.unwrap_or(default.insecure),
        })
    }

    fn limits(&self, written: &written::Limits) -> Result<Limits, ConfigError> {
        section!(self, written, "limits", Limits {
            idle: time in WAIT,
            header: time in WAIT,
            payload_stall: time in WAIT,
            payload_min: number in TRICKLE,
            write_stall: time in WAIT,
            connections: number in COUNT,
            connections_per_address: number in COUNT,
            transfers_per_client: number in COUNT,
            unknown_per_second: number in COUNT,
            shutdown: time in WAIT,
            drain_time: time in WAIT,
            drain_size: number in DRAIN,
        })
    }

    fn deposit(&self, written: &written::Deposit) -> Result<DepositSettings, ConfigError> {
        section!(self, written, "deposit", DepositSettings {
            memory: number in MEMORY,
            max_size: number in FILE,
            checkpoint: number in STEP,
            part_lifetime: time in KEEP,
        })
    }

    fn volume(&self, written: &written::Volume) -> Result<VolumeSettings, ConfigError> {
        section!(self, written, "volume", VolumeSettings {
            trash: time in KEEP,
            reserve: number in ROOM,
            reserve_percent: number in PERCENT,
            pack: number in ROOM,
            cached: number in ROOM,
            scrub: time in KEEP,
            scrub_fresh: time in KEEP,
        })
    }

    fn catalogue(&self, written: &written::Catalogue) -> Result<CatalogueSettings, ConfigError> {
        section!(self, written, "catalogue", CatalogueSettings {
            cache: number in MEMORY,
            check_on_open: number in ROOM,
            journal: number in ROOM,
        })
    }

    /// A duration within its range, or the default.
    fn time(
        &self,
        key: &Key<Time>,
        default: Duration,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let Some(written) = key else { return Ok(default) };
        let Time(time) = *written.get_ref();
        if range.contains(&time) {
            return Ok(time);
        }
        let show = humantime::format_duration;
        let (from, to) = range.into_inner();
        let message = format!("{name} is {}; {} to {} is wanted", show(time), show(from), show(to));
        Err(self.source.error(&written.span(), message))
    }

    /// A number within its range, or the default.
    fn number<Q: Quantity, T: TryFrom<u64>>(
        &self,
        key: &Key<Q>,
        default: T,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<T, ConfigError> {
        Ok(self.optional(key, name, range)?.unwrap_or(default))
    }

    /// A number within its range, if there is one.
    pub(super) fn optional<Q: Quantity, T: TryFrom<u64>>(
        &self,
        key: &Key<Q>,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(written) = key else { return Ok(None) };
        let amount = written.get_ref().amount();
        let fitting = range.contains(&amount).then(|| T::try_from(amount).ok()).flatten();
        fitting.map(Some).ok_or_else(|| {
            let [is, from, to] = [amount, *range.start(), *range.end()].map(Q::show);
            let message = format!("{name} is {is}; {from} to {to} is wanted");
            self.source.error(&written.span(), message)
        })
    }
}

/// A number as the file holds it.
pub(super) trait Quantity {
    /// The number itself.
    fn amount(&self) -> u64;
    /// A number of this kind, for people.
    fn show(amount: u64) -> String;
}

impl Quantity for Size {
    fn amount(&self) -> u64 {
        self.0
    }

    fn show(amount: u64) -> String {
        ByteSize(amount).display().iec().to_string()
    }
}

impl Quantity for Count {
    fn amount(&self) -> u64 {
        self.0
    }

    fn show(amount: u64) -> String {
        amount.to_string()
    }
}

/// Finds the secrets and judges them.
struct Secrets<'a> {
    source: &'a Source<'a>,
    folder: &'a Path,
    reach: Reach,
    access: &'a Access,
    several: bool,
}

impl Secrets<'_> {
    fn resolve(
        &self,
        cluster: &written::Cluster,
        warnings: &mut Vec<Warning>,
    ) -> Result<(Option<Secret>, Vec<Secret>), ConfigError> {
        if cluster.secret.is_some() || !cluster.also_accept.0.is_empty() {
            self.reach.judge_access(self.access, warnings)?;
        }
        let secret = match (&cluster.secret, &cluster.secret_file) {
            (Some(secret), Some(file)) => {
                let line = self.source.position(secret.span().start).line;
                let message = format!(
                    "`secret_file` and `secret` (line {line}) are both given; leave one out"
                );
                return Err(self.source.error(&file.span(), message));
            }
            (Some(secret), None) => Some(self.judged(secret, "secret", warnings)?),
            (None, Some(file)) => {
                let path = members::resolve_path(self.source, self.folder, file, "secret_file")?;
                let (secret, access) = secret::read(&path)?;
                self.reach.judge_access(&access, warnings)?;
                if let Some(weakness) = secret.weakness() {
                    let weakness = ConfigError::whole(&path, format!("the secret {weakness}"));
                    self.reach.judge(weakness, warnings)?;
                }
                Some(secret)
            }
            (None, None) => None,
        };
        if secret.is_none() && self.several {
            let message = "[cluster] has no `secret` or `secret_file`, by which the servers know \
                           each other; make one with `openssl rand -base64 32`";
            self.reach.judge(self.source.whole(message), warnings)?;
        }
        let also_accept = cluster
            .also_accept
            .0
            .iter()
            .map(|secret| self.judged(secret, "secret in `also_accept`", warnings))
            .collect::<Result<_, _>>()?;
        Ok((secret, also_accept))
    }

    fn judged(
        &self,
        secret: &Spanned<Secret>,
        what: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<Secret, ConfigError> {
        if let Some(weakness) = secret.get_ref().weakness() {
            let weakness = self.source.error(&secret.span(), format!("the {what} {weakness}"));
            self.reach.judge(weakness, warnings)?;
        }
        Ok(secret.get_ref().clone())
    }
}
