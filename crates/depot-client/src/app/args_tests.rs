//! What each command line comes to, and that the help says all in both languages.

use super::super::texts::Language;
use super::*;

fn typed(line: &str) -> Command {
    let texts = Texts::new(Language::English);
    let words = shlex::split(line).unwrap();
    parse_line(words, &texts).unwrap().command.unwrap()
}

#[test]
fn the_commands_of_the_prompt() {
    let deposit = |paths: &[&str], replicas, name: Option<&str>| Command::Deposit {
        paths: paths.iter().map(Into::into).collect(),
        replicas,
        name: name.map(str::to_owned),
    };
    assert_eq!(typed("deposit a.txt"), deposit(&["a.txt"], None, None));
    assert_eq!(
        typed("deposit 'a b' c --replicas 2 --name x/"),
        deposit(&["a b", "c"], Some(2), Some("x/"))
    );
    assert_eq!(typed("deposit --name=x a"), deposit(&["a"], None, Some("x")));
    assert_eq!(typed("depositar a"), deposit(&["a"], None, None));
    let recover = |to: Option<&str>, force| Command::Recover {
        names: vec!["x".into()],
        to: to.map(Into::into),
        force,
    };
    assert_eq!(typed("recover x"), recover(None, false));
    assert_eq!(typed("recover x --to - --force"), recover(Some("-"), true));
    assert_eq!(typed("list"), Command::List);
    assert_eq!(typed("stat -- -rf"), Command::Stat { name: "-rf".into() });
    assert_eq!(typed("replicas x 2"), Command::Replicas { name: "x".into(), replicas: 2 });
    assert_eq!(typed("remove x"), Command::Remove { name: "x".into() });
    assert_eq!(typed("servers"), Command::Servers);
    assert_eq!(typed("id"), Command::Id);
    assert_eq!(typed("help stat"), Command::Help { command: Some("stat".into()) });
    assert_eq!(typed("sair"), Command::Quit);
}

#[test]
fn the_command_line_has_the_same_commands() {
    let texts = Texts::new(Language::English);
    let words = "depot-client --host h --port 7 deposit a --json".split(' ').map(Into::into);
    let args = parse_args(words, &texts).unwrap();
    assert_eq!((args.host.as_deref(), args.port, args.line.json), (Some("h"), Some(7), true));
    assert_eq!(args.line.command, Some(typed("deposit a")));
    let words = ["depot-client", "--port", "0"].map(Into::into);
    assert!(parse_args(words, &texts).is_err());
}

#[test]
fn help_says_all_in_both_languages() {
    for language in [Language::English, Language::Portuguese] {
        let texts = Texts::new(language);
        for name in Command::names() {
            let help = help_of(Some(&name), &texts).unwrap();
            assert!(help.contains(&texts.say(&format!("usage-{name}"))), "{help}");
            assert!(help.contains(&texts.say(&format!("examples-{name}"))), "{help}");
            for key in ["about-", "arg-", "usage-", "heading-", "value-", "help-template", "{"] {
                assert!(!help.contains(key), "{key} in {language:?}:\n{help}");
            }
        }
        let help = whole_help(&texts);
        for word in ["deposit", "--host", "--id", "DEPOT_ID_FILE", "130", &texts.say("exit-5")] {
            assert!(help.contains(word), "{word} is not in:\n{help}");
        }
    }
    assert!(help_of(Some("dance"), &Texts::new(Language::English)).is_none());
}

#[test]
fn nothing_of_the_help_is_left_in_english() {
    let texts = Texts::new(Language::Portuguese);
    let helps = Command::names().iter().map(|name| help_of(Some(name), &texts).unwrap()).collect();
    for help in [whole_help(&texts), helps] {
        for word in ["Usage", "Options", "Arguments", "Commands", "Print", "default", "Examples"] {
            assert!(!help.contains(word), "{word} in:\n{help}");
        }
    }
}
