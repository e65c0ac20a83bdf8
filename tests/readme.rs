//! Test that the commands of the README, of docs/ and of a new project's README exist: every `just
//! …` is a recipe of the justfile, every script is in the tree and executable. .ci/manual runs
//! them; this test finds a wrong line quickly.

use outside::program;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn read(name: &str) -> String {
    fs::read_to_string(program::root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the recipes and aliases of a justfile: a line that starts with a name and ends its head
/// with a colon.
fn recipes(justfile: &str) -> BTreeSet<&str> {
    let is_name = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    justfile
        .lines()
        .filter_map(|line| {
            let (head, rest) = line.split_once(':')?;
            let assignment = rest.starts_with('=') && !head.starts_with("alias ");
            let name = head
                .trim_start_matches('@')
                .trim_start_matches("alias ")
                .split_ascii_whitespace()
                .next()?;
            (!line.starts_with([' ', '\t', '#', '[']) && !assignment && is_name(name))
                .then_some(name)
        })
        .filter(|name| *name != "export" && *name != "set")
        .collect()
}

/// The commands that the page tells a user to type: the words of each command in a fenced block or
/// in backticks, without comments and output.
fn commands(page: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_none() { Some(info.trim().to_owned()) } else { None };
            continue;
        }
        let texts: Vec<&str> = match fence.as_deref() {
            Some("sh" | "bash" | "console" | "shell") => {
                vec![line.trim_start().trim_start_matches("$ ")]
            }
            Some(_) => vec![],
            None => line.split('`').skip(1).step_by(2).collect(),
        };
        for text in texts {
            let text = text.split(" #").next().unwrap_or_default();
            for command in text.split("&&").flat_map(|part| part.split(['|', ';'])) {
                let words: Vec<String> =
                    command.split_ascii_whitespace().map(str::to_owned).collect();
                if !words.is_empty() {
                    found.push((number, words));
                }
            }
        }
    }
    found
}

/// Each command of `page` that cannot be run, with its line.
fn broken(page: &str, justfile: &str) -> Vec<String> {
    let recipes = recipes(justfile);
    let mut wrong = Vec::new();
    for (line, words) in commands(page) {
        // NAME=value words before a command set its environment.
        let mut words =
            words.iter().skip_while(|word| word.contains('=') && !word.starts_with('-'));
        let Some(program) = words.next() else { continue };
        match program.as_str() {
            "just" => {
                let recipe = words.find(|word| !word.starts_with('-'));
                if let Some(recipe) = recipe
                    && !recipes.contains(recipe.as_str())
                {
                    wrong.push(format!(
                        "line {line}: `just {recipe}` is not a recipe; the recipes are {recipes:?}"
                    ));
                }
            }
            script
                if ["build/", ".ci/", "./build/", "./.ci/"]
                    .iter()
                    .any(|folder| script.starts_with(folder)) =>
            {
                let runs = fs::metadata(program::root().join(script)).is_ok_and(|it| {
                    it.is_dir()
                        || !script.ends_with("setup")
                        || it.permissions().mode() & 0o111 != 0
                });
                if !runs {
                    wrong.push(format!(
                        "line {line}: `{script}` is not in the tree or cannot be executed"
                    ));
                }
            }
            _ => {}
        }
    }
    wrong
}

#[test]
fn every_command_of_the_readme_exists() {
    let wrong = broken(&read("README.md"), &read("justfile"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_the_other_pages_exists() {
    let ours = read("justfile");
    let mut wrong = Vec::new();
    for folder in ["docs", "docs/reference", "docs/zh"] {
        for entry in fs::read_dir(program::root().join(folder)).expect("the folder is there") {
            let entry = entry.expect("it lists its entries");
            let name = format!("{folder}/{}", entry.file_name().display());
            if name.ends_with(".md") {
                wrong.extend(
                    broken(&read(&name), &ours).into_iter().map(|what| format!("{name}: {what}")),
                );
            }
        }
    }
    // A new project's page uses its own justfile, and once this repository's.
    let theirs = broken(&read("template/README.md.liquid"), &read("template/justfile"));
    wrong.extend(theirs.into_iter().map(|what| format!("template/README.md.liquid: {what}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Numbers have one home (ARCHITECTURE.md, "Tenets"): numbers of the README's run that docs/ quotes
/// are those of the README.
#[test]
fn times_in_docs_are_those_of_the_readme() {
    let readme = read("README.md");
    let mut quoted = 0;
    for page in ["docs/cold-start.md", "docs/choosing.md", "docs/profiles.md"] {
        let text = read(page);
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            let unit = pair[1].trim_end_matches(|c: char| c.is_ascii_punctuation());
            let number = pair[0].trim_start_matches('(');
            // Numbers of other measurements are written without a space (`236ms`, of a log line) or
            // in seconds.
            let measured = number.parse::<f64>().is_ok() && (unit == "ms" || unit == "µs");
            if measured {
                quoted += 1;
                let ours = readme.contains(&format!(" {number} {unit}"));
                let theirs =
                    unit == "µs" && read("ARCHITECTURE.md").contains(&format!("{number} {unit}"));
                assert!(ours || theirs, "{page}: `{number} {unit}` is not in README.md");
            }
        }
    }
    assert!(quoted > 8, "the pages quote the README's run");
}

#[test]
fn the_readme_shows_the_two_commands_of_the_contract() {
    let all: Vec<String> =
        commands(&read("README.md")).into_iter().map(|(_, words)| words.join(" ")).collect();
    for command in ["build/setup", "just bench-coldstart", "just test"] {
        assert!(
            all.iter().any(|shown| shown.trim_start_matches("./") == command),
            "`{command}` is not in README.md"
        );
    }
}

/// .ci/manual decides which lines of the README CI runs: it has to know each line, and no removed
/// line.
#[test]
fn the_manual_runs_or_names_every_line_of_the_readmes_shell_blocks() {
    let listed = Command::new(program::root().join(".ci/manual"))
        .arg("--list")
        .output()
        .expect(".ci/manual starts");
    let complaint = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{complaint}");
    let listed = String::from_utf8(listed.stdout).expect("it is text");
    let readme = read("README.md");
    let lines: Vec<&str> = readme
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().expect("a split has a first part").lines())
        .map(|line| line.split(" #").next().expect("a split has a first part").trim_end())
        .collect();
    assert!(lines.len() > 10, "{lines:?}");
    let fates: Vec<&str> = listed.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(fates, lines);
}

#[test]
fn the_justfile_has_every_recipe_of_the_contract() {
    let justfile = read("justfile");
    let there = recipes(&justfile);
    let promised = [
        "image",
        "image-docker",
        "bench-coldstart",
        "plan",
        "bench",
        "record",
        "test",
        "run",
        "invoke",
        "new",
        "tools",
        "push",
        "check",
        "deploy",
        "ci",
    ];
    let missing: Vec<&str> =
        promised.into_iter().filter(|recipe| !there.contains(recipe)).collect();
    assert!(missing.is_empty(), "docs/reference/just-recipes.md promises {missing:?}");
}

#[test]
fn the_check_finds_a_command_that_does_not_exist() {
    let justfile = "x := 'y'\nset shell := ['sh']\nalias b := build\n# c\n@build *ARGS: dep\n    \
                    just nothing:\ndep:\n";
    assert_eq!(recipes(justfile), BTreeSet::from(["b", "build", "dep"]));
    let page = "Type `just build` or `just typo`.\n```sh\nA=1 just dep && just gone # just \
                comment\nbuild/no-such\n```\n```\njust output\n```\n";
    let wrong = broken(page, justfile);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    for (found, expected) in
        wrong.iter().zip(["line 1: `just typo`", "line 3: `just gone`", "line 4: `build/no-such`"])
    {
        assert!(found.starts_with(expected), "{found}");
    }
}

/// Lines of a page's `sh` blocks, without comments; each command of a chain is a line.
fn shell_lines(page: &str) -> Vec<&str> {
    page.split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().expect("a split has a first part").lines())
        .map(|line| line.split(" #").next().expect("a split has a first part").trim_end())
        .flat_map(|line| line.split(" && "))
        .collect()
}

/// .ci/manual runs the README's lines, and those of a new project's README: the tutorial has only
/// such lines.
#[test]
fn the_manual_runs_every_line_of_the_tutorials_shell_blocks() {
    let (readme, project) = (read("README.md"), read("template/README.md.liquid"));
    let run: BTreeSet<&str> =
        shell_lines(&readme).into_iter().chain(shell_lines(&project)).collect();
    let tutorial = read("docs/tutorial.md");
    let lines = shell_lines(&tutorial);
    assert!(lines.len() > 8, "{lines:?}");
    let unknown: Vec<&str> = lines.into_iter().filter(|line| !run.contains(line)).collect();
    assert!(unknown.is_empty(), "nothing runs {unknown:?}");
}

#[test]
fn the_tutorial_shows_the_handler_of_a_new_project() {
    let (tutorial, handler) = (read("docs/tutorial.md"), read("template/src/main.rs"));
    let shown = tutorial.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the tutorial has a block of Rust");
    assert!(handler.contains(shown), "template/src/main.rs does not contain:\n{shown}");
}
