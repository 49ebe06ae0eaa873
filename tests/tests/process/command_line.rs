//! Starting: the ready line, the one who is already there, and the exit codes.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};

use depot_tests::{Server, Setup};

#[test]
fn the_ready_line_is_all_that_stdout_gets() {
    let server = Server::start();
    let (address, data) = (server.address(), server.folder().path(""));
    let data = data.display().to_string();
    let data = data.trim_end_matches('/');
    assert_eq!(
        server.ready_line(),
        format!("depot-server one: clients on {address}, data in {data}")
    );
    server.still_serves();
    assert_eq!(server.stdout().trim_end(), server.ready_line());
    server.stop();
}

#[test]
fn a_port_and_a_data_folder_are_enough_without_a_configuration() {
    let setup = Setup::new();
    let folder = setup.folder();
    let data = folder.root().to_str().expect("UTF-8");
    let server = setup.clone().args(&["--port", "0", "--data", data]).start();
    assert!(server.address().ip().is_loopback(), "{}", server.ready_line());
    server.still_serves();
}

#[test]
fn started_bare_without_a_terminal_it_is_a_usage_error_that_names_port() {
    let refusal = Setup::new().args(&[]).refuse();
    assert_eq!(refusal.code, Some(2), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("--port"), "{}", refusal.stderr);
}

#[test]
fn row_89_a_second_server_on_the_same_data_exits_with_5_and_names_the_holder() {
    let server = Server::start();
    let refusal = server.setup().refuse();
    assert_eq!(refusal.code, Some(5), "{}", refusal.stderr);
    assert!(refusal.stderr.contains(&server.pid().to_string()), "{}", refusal.stderr);
    server.is_unharmed();
}

#[test]
fn row_90_a_port_in_use_is_exit_code_4_with_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let refusal = Setup::new().address(&address).refuse();
    assert_eq!(refusal.code, Some(4), "{}", refusal.stderr);
    assert!(refusal.stderr.contains(&address), "{}", refusal.stderr);
}

#[test]
fn row_90_a_privileged_port_is_exit_code_4_with_the_address() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.expect("Linux").trim().parse::<u16>().expect("a port");
    if first <= 80 || !Setup::can_run_as(NOBODY) {
        println!("skipped: here anyone may listen on port 80, or only root can run the server");
        return;
    }
    let refusal = as_nobody(Setup::new().address("127.0.0.1:80")).refuse();
    assert_eq!(refusal.code, Some(4), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("127.0.0.1:80"), "{}", refusal.stderr);
}

#[test]
fn row_87_a_forbidden_data_folder_is_exit_code_6_with_its_path() {
    if !Setup::can_run_as(NOBODY) {
        println!("skipped: only this user can run the server");
        return;
    }
    let setup = as_nobody(Setup::new());
    let folder = setup.folder();
    let data = folder.root();
    fs::create_dir(data).expect("a folder");
    fs::set_permissions(data, Permissions::from_mode(0o700)).expect("root's own");
    let refusal = setup.refuse();
    assert_eq!(refusal.code, Some(6), "{}", refusal.stderr);
    assert!(refusal.stderr.contains(&data.display().to_string()), "{}", refusal.stderr);
}

const NOBODY: u32 = 65_534;

/// Root may do everything, so these run as a user who may not.
fn as_nobody(setup: Setup) -> Setup {
    chown(setup.home(), Some(NOBODY), Some(NOBODY)).expect("these tests run as root");
    fs::set_permissions(setup.home(), Permissions::from_mode(0o755)).expect("its mode");
    setup.user(NOBODY)
}
