//! Both languages say the same things, and all that the code asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;

const BOTH: [Language; 2] = [Language::English, Language::Portuguese];

/// The keys of a language, each with the variables in its text.
fn keys(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    let mut key = String::new();
    for line in language.source().lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
            key = name.to_owned();
            assert!(keys.insert(key.clone(), BTreeSet::new()).is_none(), "{key} is there twice");
        }
        for piece in line.split("{ $").skip(1) {
            let variable = piece.split(' ').next().unwrap().to_owned();
            keys.get_mut(&key).unwrap().insert(variable);
        }
    }
    keys
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_values() {
    assert_eq!(keys(Language::English), keys(Language::Portuguese));
}

#[test]
fn both_files_are_well_formed() {
    for language in BOTH {
        let resource = FluentResource::try_new(language.source().to_owned());
        let faults = resource.map(drop).map_err(|(_, faults)| faults);
        assert_eq!(faults, Ok(()), "{language:?}");
        let texts = Texts::new(language);
        for key in keys(language).keys() {
            assert!(texts.has(key), "{language:?} {key}");
        }
    }
}

/// Every `"key"` that stands in a call like `say("key")` in the sources, of `depot` too.
#[test]
fn every_text_that_the_code_names_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("src/app"), here.join("../depot/src")];
    let mut sources = vec![fs::read_to_string(here.join("src/app.rs")).unwrap()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.to_string_lossy().ends_with("_tests.rs") => {}
                path => sources.push(fs::read_to_string(path).unwrap()),
            }
        }
    }
    let keys = keys(Language::English);
    let mut named = 0;
    for source in &sources {
        for call in ["say(\"", "with(\"", "ask(\"", "some(\"", "number(\"", "port(\""] {
            for piece in source.split(call).skip(1) {
                let (key, _) = piece.split_once('"').unwrap();
                let is_key = key.contains('-') && !key.starts_with('-') || keys.contains_key(key);
                if is_key && !key.contains([' ', '{', '\\', '/', '.']) {
                    assert!(keys.contains_key(key), "{key} is no text");
                    named += 1;
                }
            }
        }
    }
    assert!(named > 40, "only {named} calls were found");
}

#[test]
fn a_locale_chooses_the_language() {
    for locale in ["pt_BR.UTF-8", "pt_PT", "pt", "PT-br", "pt@euro"] {
        assert_eq!(Language::of_locale(locale), Language::Portuguese, "{locale}");
    }
    for locale in ["", "C", "C.UTF-8", "en_US.UTF-8", "ptx", "de_DE"] {
        assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
    }
}

#[test]
fn values_stand_in_the_text_without_marks_around_them() {
    let texts = Texts::new(Language::English);
    assert_eq!(texts.with("removed", [("name", "a b".into())]), "removed a b");
    assert_eq!(Texts::new(Language::Portuguese).say("error"), "erro");
    assert_eq!(texts.say("no-such-text"), "no-such-text");
}
