//! Recipes: the effect of each instruction, and the message for each mistake. Docker Engine is the
//! oracle in `parity.rs`.

mod common;

use common::{HELLO, MemoryContext};
use microimage::assemble::{Options, assemble};
use microimage::contents;
use microimage::entry::LayerLimits;
use microimage::recipe::{DEFAULT_PATH, Recipe};
use microimage::rootfs::Node;

fn parse(lines: &str) -> Recipe {
    Recipe::parse(&format!("FROM scratch\n{lines}")).expect(lines)
}

#[test]
fn reads_the_run_configuration() {
    let recipe = parse(
        "ENV A=1 B=\"two words\" C=x\\ y\nENV D four words $A\nWORKDIR /srv\nWORKDIR sub\nENV \
         PATH=/app:$PATH A=2\nENV E=$A\nEXPOSE 9000 53/UDP\nEXPOSE 80-82 9000\nLABEL a=b \"c \
         d\"=\"e f\" g=\"h $A\" i='$A'\nLABEL a=z\nUSER 65532:65532\nENTRYPOINT [\"/app\", \"x \
         y\"]\nCMD [\"--z\", \"$A\"]\n",
    );
    let run = recipe.run;
    let env: Vec<_> = run.env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let path = format!("/app:{DEFAULT_PATH}");
    assert_eq!(
        env,
        [
            ("PATH", path.as_str()),
            ("A", "2"),
            ("B", "two words"),
            ("C", "x y"),
            ("D", "four words 1"),
            ("E", "2")
        ]
    );
    assert_eq!(run.exposed_ports, ["53/udp", "80/tcp", "81/tcp", "82/tcp", "9000/tcp"]);
    let labels: Vec<_> = run.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "z"), ("c d", "e f"), ("g", "h 2"), ("i", "$A")]);
    assert_eq!((run.user.as_str(), run.working_dir.as_str()), ("65532:65532", "/srv/sub"));
    assert_eq!(run.argv(), ["/app", "x y", "--z", "$A"], "the exec form replaces no variables");
}

#[test]
fn an_error_names_the_line_and_what_to_do() {
    for (text, expected) in [
        ("", "line 1: the recipe must begin with `FROM scratch`"),
        ("# only words\nCOPY a b", "line 2: the recipe must begin with `FROM scratch`"),
        (
            "FROM alpine",
            "line 1: `FROM`: only `scratch` is packed, not `alpine`; a base image would be pulled \
             at every cold start",
        ),
        (
            "FROM scratch AS x",
            "line 1: `FROM`: only `scratch` is packed, not `scratch AS x`; a base image would be \
             pulled at every cold start",
        ),
        (
            "FROM scratch\nFROM scratch",
            "line 2: `FROM`: a second stage is not supported; build the program first, then copy \
             it",
        ),
        ("FROM scratch\n\nCOPPY a b", "line 3: unknown instruction `COPPY`; did you mean `COPY`?"),
        (
            "FROM scratch\nentry [\"a\"]",
            "line 2: unknown instruction `ENTRY`; known are FROM, COPY, ENV, USER, WORKDIR, \
             EXPOSE, LABEL, ENTRYPOINT, CMD",
        ),
        (
            "FROM scratch\nEXPOSED 1",
            "line 2: unknown instruction `EXPOSED`; did you mean `EXPOSE`?",
        ),
        (
            "FROM scratch\nrun make",
            "line 2: `RUN` is not supported: an image from scratch has nothing to run; do it \
             before the image is built, then COPY the result",
        ),
        ("FROM scratch\nCOPY a", "line 2: `COPY`: a source or a destination is missing"),
        ("FROM scratch\nCOPY", "line 2: `COPY`: an argument is missing"),
        (
            "FROM scratch\nCOPY a b c",
            "line 2: `COPY`: with several sources the destination must end with a slash: `c/`",
        ),
        (
            "FROM scratch\nCOPY *.x /",
            "line 2: `COPY`: `*.x` is a pattern; name the file or its folder",
        ),
        (
            "FROM scratch\nCOPY ../a /",
            "line 2: `COPY`: `../a` lies outside of the build context; copy it into the context \
             first",
        ),
        (
            "FROM scratch\nCOPY --from=build a /",
            "line 2: `COPY`: the flag `--from=build` is not supported; known are \
             `--chown=USER:GROUP`, `--chmod=MODE` and `--link`",
        ),
        (
            "FROM scratch\nCOPY --chown=a/b a /",
            "line 2: `COPY`: `--chown=a/b` is not an owner, such as `--chown=65532:65532` or \
             `--chown=app:app`",
        ),
        (
            "FROM scratch\nCOPY --chown=-1 a /",
            "line 2: `COPY`: `--chown=-1` is not an owner, such as `--chown=65532:65532` or \
             `--chown=app:app`",
        ),
        (
            "FROM scratch\nCOPY --chown= a /",
            "line 2: `COPY`: `--chown=` is not an owner, such as `--chown=65532:65532` or \
             `--chown=app:app`",
        ),
        (
            "FROM scratch\nCOPY --chown=1:4294967295 a /",
            "line 2: `COPY`: `--chown=1:4294967295` is not an owner, such as \
             `--chown=65532:65532` or `--chown=app:app`",
        ),
        (
            "FROM scratch\nCOPY --chmod=u+y a /",
            "line 2: `COPY`: `--chmod=u+y` contains `y`; write an octal mode, such as \
             `--chmod=0755`, or a symbolic one, such as `--chmod=u+x,go-w`",
        ),
        (
            "FROM scratch\nCOPY --chmod= a /",
            "line 2: `COPY`: `--chmod=` contains ``, which has no `+`, `-` or `=`; write an \
             octal mode, such as `--chmod=0755`, or a symbolic one, such as `--chmod=u+x,go-w`",
        ),
        (
            "FROM scratch\nCOPY --chmod=10000 a /",
            "line 2: `COPY`: `--chmod=10000` is not an octal mode, such as `--chmod=0755`",
        ),
        (
            "FROM scratch\nCOPY --chown=1:2 a",
            "line 2: `COPY`: a source or a destination is missing",
        ),
        (
            "FROM scratch\nCOPY <<EOF /x\nhi\nEOF",
            "line 2: `COPY`: here-documents are not supported; copy a file",
        ),
        ("FROM scratch\nENV A", "line 2: `ENV`: `A` has no value; write `A=value`"),
        (
            "FROM scratch\nENV A=1 B",
            "line 2: `ENV`: `B` is not `NAME=value`; quote a value that contains a space",
        ),
        ("FROM scratch\nENV A=\"x", "line 2: `ENV`: the quote in `\"x` is not closed"),
        ("FROM scratch\nENV =x", "line 2: `ENV`: `=x` has no name"),
        (
            "FROM scratch\nEXPOSE 70000",
            "line 2: `EXPOSE`: `70000` is not a port; write `9000` or `9000/udp`",
        ),
        (
            "FROM scratch\nEXPOSE 9-8",
            "line 2: `EXPOSE`: `9-8` is not a port; write `9000` or `9000/udp`",
        ),
        (
            "FROM scratch\nEXPOSE 0",
            "line 2: `EXPOSE`: `0` is not a port; write `9000` or `9000/udp`",
        ),
        (
            "FROM scratch\nENTRYPOINT /app --x",
            "line 2: `ENTRYPOINT`: an image from scratch has no shell for `/app --x`; write \
             `[\"/app\", \"--x\"]`",
        ),
        (
            "FROM scratch\nCMD ['a']",
            "line 2: `CMD`: an image from scratch has no shell for `['a']`; write `[\"['a']\"]`",
        ),
        (
            "FROM scratch\nCMD [1]",
            "line 2: `CMD`: an image from scratch has no shell for `[1]`; write `[\"[1]\"]`",
        ),
        (
            "# escape=x\nFROM scratch",
            "line 1: `# escape`: escape character `x` is neither a backslash nor a backtick",
        ),
    ] {
        assert_eq!(Recipe::parse(text).expect_err(text).to_string(), expected);
    }
}

fn files(lines: &str, context: &MemoryContext) -> Result<Vec<String>, String> {
    let rootfs = parse(lines).rootfs(context, &[]).map_err(|e| e.to_string())?;
    let show = |(path, node): (&str, &Node)| match node {
        Node::Folder { .. } => format!("{path}/"),
        Node::File { executable, .. } => format!("{path}{}", if *executable { "*" } else { "" }),
        Node::Symlink { target } => format!("{path} -> {target}"),
    };
    Ok(rootfs.entries().map(show).collect())
}

#[test]
fn copies_files_and_the_content_of_folders() {
    let context = MemoryContext::default()
        .program("out/app", b"elf")
        .file("etc/a.conf", b"a")
        .file("etc/d/b.conf", b"b")
        .link("etc/l", "a.conf");
    for (lines, expected) in [
        ("COPY out/app /app", &["app*"][..]),
        ("COPY out/app /bin/", &["bin/", "bin/app*"]),
        ("WORKDIR /bin\nCOPY out/app x", &["bin/", "bin/x*"]),
        ("WORKDIR /bin\nCOPY out/app .", &["bin/", "bin/app*"]),
        ("WORKDIR /bin\nCOPY /out/app ./", &["bin/", "bin/app*"]),
        // The destination is an existing folder, so the file is copied into it.
        (
            "COPY etc /bin\nCOPY out/app /bin",
            &["bin/", "bin/a.conf", "bin/app*", "bin/d/", "bin/d/b.conf", "bin/l -> a.conf"],
        ),
        ("COPY etc /etc/", &["etc/", "etc/a.conf", "etc/d/", "etc/d/b.conf", "etc/l -> a.conf"]),
        ("COPY out/app etc/a.conf /x/", &["x/", "x/a.conf", "x/app*"]),
        ("COPY [\"out/app\", \"/with blank\"]", &["with blank*"]),
        ("ENV D=etc/d\nCOPY $D /${D}", &["etc/", "etc/d/", "etc/d/b.conf"]),
    ] {
        assert_eq!(files(lines, &context).expect(lines), expected, "{lines}");
    }
}

#[test]
fn an_error_names_the_source_or_the_destination() {
    let context =
        MemoryContext::default().program("app", b"elf").file("d/x", b"x").link("l", "app");
    for (lines, expected) in [
        (
            "COPY nothing /",
            "line 2: `COPY`: `nothing` cannot be read: it is not in the build context (or \
             .dockerignore leaves it out)",
        ),
        (
            "COPY app /a\nCOPY app /a/b",
            "line 3: `COPY`: `/a` would be both a file and a folder; choose another destination",
        ),
        (
            "COPY app /x\nCOPY d /x",
            "line 3: `COPY`: `/x` would be both a file and a folder; choose another destination",
        ),
        ("COPY l /x", "line 2: `COPY`: `l` is a symbolic link to `app`; name the file itself"),
    ] {
        assert_eq!(files(lines, &context).expect_err(lines), expected);
    }
}

/// Owners and modes of the recipe are in the layer (jib#1257).
#[test]
fn copied_files_have_the_stated_owner_and_mode() {
    let context = MemoryContext::default()
        .program("app", HELLO)
        .file("conf/a", b"a")
        .link("conf/l", "a")
        .file("plain", b"x");
    let recipe = Recipe::parse(
        "FROM scratch\nENV ID=65532\nCOPY --chmod=0755 plain /run\nCOPY --chown=$ID:0 \
         --chmod=640 conf /srv/conf\nCOPY --link --chown=7 [\"plain\", \"/p q/\"]\nCOPY app \
         /app\nENTRYPOINT [\"/app\"]\n",
    )
    .expect("a recipe");
    let image = assemble(&recipe, &context, &Options::default()).expect("an image").image;
    let contents = contents::read(&image, &LayerLimits::default()).expect("readable");
    let found: Vec<_> = contents
        .files
        .iter()
        .map(|(path, f)| format!("{} {:o} {}:{}", path.display(), f.mode, f.uid, f.gid))
        .collect();
    assert_eq!(
        found,
        [
            "app 755 0:0",
            "p q 755 7:7",
            "p q/plain 644 7:7",
            "run 755 0:0",
            "srv 755 65532:0",
            "srv/conf 640 65532:0",
            "srv/conf/a 640 65532:0",
            "srv/conf/l 777 65532:0",
        ]
    );
    // a program without execute permission is refused at build time
    let recipe = Recipe::parse("FROM scratch\nCOPY --chmod=644 app /app\nCMD [\"/app\"]\n");
    let error = assemble(&recipe.expect("a recipe"), &context, &Options::default())
        .expect_err("not executable")
        .to_string();
    assert!(error.contains("is not an executable file"), "{error}");
}

/// The image's own /etc/passwd and /etc/group define names, in the state of the lines above
/// (BuildKit: a user without a group has the group in /etc/passwd).
#[test]
fn names_of_owners_are_those_of_the_image() {
    let context = MemoryContext::default()
        .program("app", HELLO)
        .file("passwd", b"root:x:0:0::/:\nbroken\napp:x:65532:100::/:\nbad:x:-1:0::/:\n")
        .file("group", b"root:x:0:\nusers:x:101:app\n")
        .file("later", b"app:x:7:8::/:\n")
        .link("lib/passwd", "real")
        .file("lib/real", b"linked:x:5:6::/:\n");
    let base = "COPY passwd group /etc/\n";
    let extra = [microimage::extras::passwd("extra:9").expect("a user")].concat();
    for (copies, extra, expected) in [
        ("COPY --chown=app app /a", &[][..], Ok((65532, 100))),
        ("COPY --chown=app:users app /a", &[], Ok((65532, 101))),
        ("COPY --chown=app:5 app /a", &[], Ok((65532, 5))),
        ("COPY --chown=3:users app /a", &[], Ok((3, 101))),
        ("COPY --chown=root app /a", &[], Ok((0, 0))),
        ("COPY later /etc/passwd\nCOPY --chown=app app /a", &[], Ok((7, 8))),
        ("COPY --chown=app app /a\nCOPY later /etc/passwd", &[], Ok((65532, 100))),
        ("COPY lib /etc/\nCOPY --chown=linked app /a", &[], Ok((5, 6))),
        ("COPY --chown=extra app /a", &extra, Ok((9, 9))),
        ("COPY --chown=extra:extra app /a", &extra, Ok((9, 9))),
        (
            "COPY --chown=nobody app /a",
            &[],
            Err("line 3: `COPY`: `--chown` names `nobody`, which the image's `/etc/passwd` does \
                 not have; add it there, or write a number"),
        ),
        (
            "COPY --chown=bad app /a",
            &[],
            Err("line 3: `COPY`: `--chown` names `bad`, which the image's `/etc/passwd` does not \
                 have; add it there, or write a number"),
        ),
        (
            "COPY --chown=app:app app /a",
            &[],
            Err("line 3: `COPY`: `--chown` names `app`, which the image's `/etc/group` does not \
                 have; add it there, or write a number"),
        ),
        (
            "COPY --chown=app app /a",
            &extra,
            Err("line 3: `COPY`: `--chown` names `app`, which the image's `/etc/passwd` does not \
                 have; add it there, or write a number"),
        ),
    ] {
        let found = parse(&format!("{base}{copies}\n")).rootfs(&context, extra);
        let found = found.map_err(|error| error.to_string()).map(|rootfs| {
            let owner = rootfs.attributes("a");
            (owner.uid, owner.gid)
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{copies}");
    }
    let error = parse("COPY --chown=app app /a\n").rootfs(&context, &[]).expect_err("no file");
    assert_eq!(
        error.to_string(),
        "line 2: `COPY`: `--chown` names `app`, and the image has no `/etc/passwd` yet; COPY one \
         before this line, or write a number"
    );
    parse("COPY --chown=root:root app /a\n").rootfs(&context, &[]).expect("known without a file");
}

/// chmod(1) is the oracle for symbolic modes, with the file creation mask of Docker Engine. Its `X`
/// depends on the mode after earlier clauses; that of microimage and BuildKit on the mode before
/// all clauses.
#[test]
fn symbolic_modes_are_those_of_chmod() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    let home = tempfile::tempdir().expect("a folder");
    let (file, program) = (home.path().join("file"), home.path().join("program"));
    let folder = home.path().join("folder");
    std::fs::write(&file, b"x").expect("a file");
    std::fs::write(&program, b"x").expect("a file");
    std::fs::create_dir(&folder).expect("a folder");
    let context =
        MemoryContext::default().program("d/program", b"x").file("d/file", b"x").file("p", b"x");
    for mode in [
        "u+x",
        "go-w",
        "+x",
        "+w",
        "-r",
        "a+rX",
        "u=rw,go=r",
        "u=rwx,go=rx",
        "go=",
        "=",
        "g=u-w",
        "o=u",
        "ug=o",
        "u+x,go-r",
        "a=r,u+w",
        "u+s",
        "g+s",
        "+t",
        "o+w-r",
        "ugo+rwx",
        "755",
        "0640",
        "1777",
    ] {
        for (path, before) in [(&file, 0o644), (&program, 0o755), (&folder, 0o755)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(before)).expect("ours");
        }
        let done = Command::new("sh")
            .args(["-c", "umask 022; chmod -- \"$0\" \"$@\" 2>&1", mode])
            .args([&file, &program, &folder])
            .output()
            .expect("sh");
        // it fails if the mask keeps a bit that the clause removes, and has applied the rest
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() || said.contains("new permissions are"), "{mode}: {said}");
        let theirs = |path: &std::path::Path| {
            std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
        };
        let rootfs = parse(&format!("COPY --chmod={mode} d /d\nCOPY p /plain\n"));
        let rootfs = rootfs.rootfs(&context, &[]).expect(mode);
        let ours = |path: &str| {
            let node = rootfs.get(path).expect("copied");
            rootfs.attributes(path).mode.unwrap_or(node.mode())
        };
        for (name, path) in [("d/file", &file), ("d/program", &program), ("d", &folder)] {
            let (ours, theirs) = (ours(name), theirs(path));
            assert_eq!(ours, theirs, "{mode} of {name}: {ours:o}, chmod makes {theirs:o}");
        }
        assert_eq!(ours("plain"), 0o644);
    }
    for mode in ["u", "x", "+", "u+", "rw", "u+x,", ",u+x", "u=rwX", "u+t", "g=ur", "+0", "é+x"] {
        let recipe = Recipe::parse(&format!("FROM scratch\nCOPY --chmod={mode} a /a\n"));
        let is_refused = recipe.is_err_and(|error| error.to_string().contains("u+x,go-w"));
        assert_eq!(is_refused, !["+", "u+"].contains(&mode), "{mode}");
    }
}
