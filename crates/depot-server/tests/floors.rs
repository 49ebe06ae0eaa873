//! The order of the floors (ARCHITECTURE.md), held against the code's own imports.

#![allow(clippy::unwrap_used)] // what a test cannot set up fails it

use std::fs;
use std::path::{Path, PathBuf};

/// The modules, lowest floor first.
const FLOORS: [&[&str]; 9] = [
    &["seams", "config", "telemetry", "tasks", "buffers"],
    &["volume", "home", "aborts"],
    &["cluster"],
    &["catalogue", "operator"],
    &[
        "custody",
        "uploads",
        "lingering",
        "turns",
        "pace",
        "start_number",
        "intake",
        "transfer",
        "depot",
    ],
    &["deposit", "recover", "records", "edit", "repair"],
    &["session", "listener"],
    &["node"],
    &["exit", "cli", "run", "main", "lib"],
];

/// On these floors, modules may not even import each other.
const APART: [usize; 1] = [5];

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|modules| modules.contains(&module)).unwrap_or_else(|| {
        panic!("the module {module} has no floor: give it one here and in ARCHITECTURE.md")
    })
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a line of code names through `crate::`, also inside `use crate::{a, b::c}`.
fn imported(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut modules = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            modules.push(first_word(after));
            continue;
        };
        let mut depth = 1;
        let mut start = true;
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                _ if start && letter.is_alphanumeric() => {
                    modules.push(first_word(&group[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    modules
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn a_lower_floor_never_imports_an_upper_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "the sources are where they are looked for");
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap();
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let floor = floor_of(module);
        for other in imported(&fs::read_to_string(&file).unwrap()) {
            let above = floor_of(&other) > floor;
            let beside = APART.contains(&floor) && floor_of(&other) == floor && other != module;
            if above || beside {
                wrong.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let source =
        "use crate::a::B;\nuse crate::{c, d::{E, F}, g};\nfn f() { crate::h::i() } // crate\n";
    assert_eq!(imported(source), ["a", "c", "d", "g", "h"]);
}
