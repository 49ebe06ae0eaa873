//! The README's netcat session, run as it stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use depot_tests::Setup;

/// The README's bash session, on the server's own port.
fn session(port: u16) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README is there");
    let (_, from) = readme.split_once("```bash\n").expect("the README has a bash session");
    let (session, _) = from.split_once("\n```").expect("the session ends");
    assert!(session.contains(" 7070"), "the session names the port that is replaced");
    session.replace(" 7070", &format!(" {port}"))
}

#[test]
fn the_netcat_session_of_the_readme_works() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("bash")
        .args(["-e", "-u", "-o", "pipefail", "-c", &session(server.address().port())])
        .current_dir(folder.path())
        .output()
        .expect("bash is there");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:"), "{out}");
    assert_eq!(lines[1], "resultado:1|itens:1|mais:0", "{out}");
    assert!(lines[2].ends_with("|nome_arquivo:letters/first.txt"), "{out}");
    assert_eq!(lines[3], "the same file", "{out}");
    assert_eq!(fs::read(folder.path().join("back.txt")).unwrap(), b"the only copy of something\n");
}
