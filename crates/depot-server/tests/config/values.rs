//! Keys and values: what is misspelt, mistyped or out of range, and what becomes of what is right.

use std::time::Duration;

use depot_server::config::{
    Ack, CatalogueSettings, ClusterSettings, Config, DepositSettings, Limits, Selection, Settings,
    VolumeSettings,
};

use super::{load, refused, says, server, two, written};

#[test]
fn row_98_misspelt_key_names_line_column_and_nearest_key() {
    let file = format!("{}\n[limits]\n  hedaer = \"5s\"\n", server("a", "127.0.0.1", 7001));
    let message = refused(file);
    says(&message, &["depot.toml, line 8, column 3", "unknown key \"hedaer\" in [limits]"]);
    says(&message, &["did you mean `header`?"]);
}

#[test]
fn row_98_misspelt_table_and_key_in_the_wrong_table() {
    says(&refused("[limit]\nidle = \"5s\"\n"), &["line 1, column 2", "did you mean `limits`?"]);
    says(&refused("[limits]\nack = \"all\"\n"), &["line 2, column 1", "put it below [deposit]"]);
    says(&refused("ack = \"all\"\n"), &["stands outside its table", "[deposit]"]);
    says(&refused("[server]\nname = \"a\"\n"), &["line 1", "[[server]]"]);
    says(&refused("[[limits]]\nidle = \"5s\"\n"), &["line 1", "written [limits], once"]);
}

#[test]
fn row_98_unknown_key_far_from_all_lists_the_known_ones() {
    says(&refused("[volume]\nxyzzy = 1\n"), &["known are trash, reserve, reserve_percent"]);
}

#[test]
fn row_98_of_several_unknown_keys_the_first_is_told() {
    says(&refused("[volume]\nzrash = 1\n[deposit]\naack = 1\n"), &["line 2", "`trash`"]);
}

#[test]
fn row_98_wrong_type_names_the_key_and_the_place() {
    let wrong = |line: &str| refused(format!("[limits]\n{line}\n"));
    says(&wrong("idle = 5"), &["line 2, column 8", "`limits.idle`", "a duration in quotes"]);
    says(&wrong("idle = \"5 parsecs\""), &["line 2", "`limits.idle`", "unknown time unit"]);
    says(&wrong("connections = \"many\""), &["`limits.connections`", "a whole number"]);
    says(&wrong("connections = 1.5"), &["`limits.connections`", "a whole number"]);
    says(&wrong("drain_size = true"), &["`limits.drain_size`", "a size, like \"64 MiB\""]);
    says(&wrong("drain_size = \"much\""), &["\"much\" is not a size, like \"64 MiB\""]);
    says(&refused("[deposit]\nack = \"some\"\n"), &["line 2", "`deposit.ack`", "majority", "all"]);
    says(&refused("[cluster]\ninsecure = \"no\"\n"), &["`cluster.insecure`", "a boolean"]);
    says(&refused("server = [1]\n"), &["line 1", "server"]);
}

#[test]
fn row_98_addresses_that_are_none() {
    let wrong = |host: &str| refused(server("a", "HOST", 7001).replace("HOST:7001", host));
    says(&wrong("127.0.0.1:65536"), &["line 3, column 11", "`server.address`", "above 65535"]);
    says(&wrong("127.0.0.1:-1"), &["\"-1\" is no port"]);
    says(&wrong("127.0.0.1"), &["the port is missing"]);
    says(&wrong("localhost:7001"), &["names are not looked up"]);
    says(&wrong("::1:7001"), &["an IPv6 address stands in brackets"]);
}

#[test]
fn row_98_negative_and_out_of_range() {
    let wrong = |line: &str| refused(format!("{}[limits]\n{line}", server("a", "127.0.0.1", 7001)));
    says(
        &wrong("connections = -1"),
        &["line 7, column 15", "`limits.connections`", "-1 is negative"],
    );
    says(&wrong("drain_size = -1"), &["-1 is negative"]);
    says(
        &wrong("connections = 0"),
        &["line 7, column 15", "limits.connections is 0; 1 to 1000000"],
    );
    says(&wrong("connections = 99999999999999999999"), &["line 7", "`limits.connections`"]);
    says(
        &wrong("idle = \"0s\""),
        &["line 7, column 8", "limits.idle is 0s; 10ms to 1day is wanted"],
    );
    says(&wrong("drain_size = \"1 KiB\""), &["limits.drain_size is 1.0 KiB; 64.0 KiB to 1.0 GiB"]);
    says(&wrong("[volume]\nreserve_percent = 256"), &["reserve_percent is 256; 0 to 90"]);
    says(&wrong("[deposit]\nmax_size = \"99999 EiB\""), &["deposit.max_size is", "is wanted"]);
}

#[test]
fn row_98_what_a_server_lacks() {
    says(&refused("[[server]]\nname = \"a\"\n"), &["line 1", "missing field `address`"]);
    says(&refused("[limits]\n"), &["has no [[server]]", "name, address, data"]);
    let file = server("a", "127.0.0.1", 7001);
    says(&refused(file.replace("\"a\"", "\"A b\"")), &["line 2", "`server.name`", "a-z, 0-9"]);
    says(&refused(file.replace("data/a", "")), &["line 5", "`data` is \"\", which is no path"]);
    says(&refused(format!("{file}witness = true\n")), &["line 1", "the only server is a witness"]);
    let file = two().replace("peer = \"127.0.0.1:7102\"\n", "");
    says(&refused(file), &["line 9", "server \"b\" has no `peer`"]);
}

#[test]
fn row_98_what_is_quoted_is_escaped_and_short() {
    let message = refused("[limits]\n\"\\u001b[2J\" = 1\n");
    says(&message, &["unknown key", "\\u{1b}"]);
    assert!(!message.contains('\u{1b}'));
    let long = "x".repeat(100_000);
    for file in [
        format!("{long} = 1\n"),
        format!("[limits]\n{long} = 1\n"),
        format!("[limits]\nidle = \"{long}\"\n"),
        format!("[cluster]\ninsecure = \"{long}\"\n"),
        format!("[limits]\nconnections = \"{long}\"\n"),
        server("a", &long, 7001),
        server(&long, "127.0.0.1", 7001),
    ] {
        let message = refused(file);
        assert!(message.len() < 1_000, "{} bytes: {message:.200}", message.len());
    }
}

#[test]
fn the_example_shows_the_defaults() {
    let example = include_str!("../../../../config/depot.toml");
    let uncommented: Vec<&str> = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key,
            _ => line,
        })
        .filter(|line| !line.starts_with("secret"))
        .collect();
    for file in [example.to_owned(), uncommented.join("\n")] {
        let file = written(file);
        let loaded = Config::load(&file.path).expect("the example is good");
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let settings = loaded.config.settings_for(&Selection::default()).expect("one server");
        let defaults = Settings::alone(settings.listen.port(), settings.data.clone());
        // The example has one server with every key; whose it is tells nothing of the defaults.
        let own = Settings {
            server: settings.server.clone(),
            members: settings.members.clone(),
            cluster: ClusterSettings { name: settings.cluster.name.clone(), ..defaults.cluster },
            secret: settings.secret.clone(),
            ..defaults
        };
        assert_eq!(settings, own);
        assert_eq!(loaded.config.ack(), Ack::Majority);
        assert_eq!(loaded.config.cluster().repair_after, Duration::from_secs(600));
        assert_eq!(loaded.config.cluster().repair_after_last, Duration::from_secs(60));
    }
}

#[test]
fn the_example_of_three_warns_of_its_secret() {
    let file = written(include_str!("../../../../config/three-servers.toml"));
    let loaded = Config::load(&file.path).expect("the example is good");
    assert_eq!(loaded.config.servers().len(), 3);
    assert_eq!(loaded.config.tolerated_failures(), 1);
    assert_eq!(loaded.warnings.len(), 1);
    says(&loaded.warnings[0].to_string(), &["secret", "examples"]);
}

#[test]
fn every_value_reaches_the_settings() {
    let file = format!("{}{EVERY_VALUE}", server("a", "127.0.0.1", 7001));
    let config = load(file).expect("good").config;
    let settings = config.settings_for(&Selection::default()).expect("one server");
    let seconds = Duration::from_secs;
    let limits = Limits {
        idle: seconds(1),
        header: seconds(2),
        payload_stall: seconds(3),
        payload_min: 4,
        write_stall: seconds(5),
        connections: 6,
        connections_per_address: 7,
        transfers_per_client: 8,
        unknown_per_second: 9,
        shutdown: seconds(11),
        drain_time: seconds(12),
        drain_size: 4 << 20,
    };
    assert_eq!(settings.limits, limits);
    assert_eq!(*config.limits(), limits);
    let deposit = DepositSettings {
        memory: 1 << 20,
        max_size: 5,
        checkpoint: 2 << 20,
        part_lifetime: seconds(3_600),
    };
    assert_eq!(settings.deposit, deposit);
    let volume = VolumeSettings {
        trash: seconds(7_200),
        reserve: 0,
        reserve_percent: 0,
        pack: 1 << 20,
        cached: 9 << 20,
        scrub: seconds(10_800),
        scrub_fresh: seconds(14_400),
    };
    assert_eq!(settings.volume, volume);
    let catalogue = CatalogueSettings { cache: 3 << 20, check_on_open: 0, journal: 7 << 20 };
    assert_eq!(settings.catalogue, catalogue);
    assert_eq!(config.ack(), Ack::All);
}

/// No two values of one kind are alike, and none is a default.
const EVERY_VALUE: &str = r#"
[deposit]
ack = "all"
memory = "1 MiB"
max_size = 5
checkpoint = "2 MiB"
part_lifetime = "1h"

[volume]
trash = "2h"
reserve = 0
reserve_percent = 0
pack = "1 MiB"
cached = "9 MiB"
scrub = "3h"
scrub_fresh = "4h"

[catalogue]
cache = "3 MiB"
check_on_open = 0
journal = "7 MiB"

[limits]
idle = "1s"
header = "2s"
payload_stall = "3s"
payload_min = 4
write_stall = "5s"
connections = 6
connections_per_address = 7
transfers_per_client = 8
unknown_per_second = 9
shutdown = "11s"
drain_time = "12s"
drain_size = "4 MiB"
"#;
