//! What the examples that run the programs share: they are built first, and every command is shown.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds server and client beside this program; the folder that they are in.
pub(crate) fn build() -> Result<PathBuf> {
    say("Build the server and the client.");
    let own = std::env::current_exe()?;
    let programs = own.ancestors().nth(2).context("target/PROFILE/examples/EXAMPLE")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "-p", "depot-server", "-p", "depot-client"]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build.arg("--target-dir").arg(programs.parent().context("target")?);
    if programs.ends_with("release") {
        build.arg("--release");
    }
    ensure!(build.status()?.success(), "they do not build");
    Ok(programs.to_owned())
}

/// Tells what comes next.
pub(crate) fn say(what: &str) {
    println!("\n# {what}");
}

/// Shows a command as you could type it.
pub(crate) fn shown(program: &str, arguments: &[&OsStr]) {
    let arguments: Vec<_> =
        arguments.iter().map(|word| Path::new(word).display().to_string()).collect();
    println!("$ {program} {}", arguments.join(" "));
}
