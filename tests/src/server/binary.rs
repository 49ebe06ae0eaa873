//! Where the server to test comes from: `DEPOT_SERVER_BIN`, else it is built, once a test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The server's executable.
pub(crate) fn path() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("DEPOT_SERVER_BIN").map_or_else(build, PathBuf::from))
}

/// Builds it beside the tests: into the same target folder, with the same profile.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/test");
    let target = profile.parent().expect("target/PROFILE");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "depot-server", "--bin", "depot-server"]);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "depot-server does not build");
    profile.join("depot-server")
}
