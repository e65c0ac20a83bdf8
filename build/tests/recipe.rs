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
fn states_how_the_program_is_started() {
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
fn names_the_line_and_says_what_to_do() {
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
        ("FROM scratch\nCOPY a", "line 2: `COPY`: a source and a destination must follow it"),
        ("FROM scratch\nCOPY", "line 2: `COPY`: something must follow it"),
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
             `--chown=UID:GID`, `--chmod=MODE` and `--link`",
        ),
        (
            "FROM scratch\nCOPY --chown=app:app a /",
            "line 2: `COPY`: `--chown=app:app` needs numbers, such as `--chown=65532:65532`",
        ),
        (
            "FROM scratch\nCOPY --chown=-1 a /",
            "line 2: `COPY`: `--chown=-1` needs numbers, such as `--chown=65532:65532`",
        ),
        (
            "FROM scratch\nCOPY --chown= a /",
            "line 2: `COPY`: `--chown=` needs numbers, such as `--chown=65532:65532`",
        ),
        (
            "FROM scratch\nCOPY --chmod=u+x a /",
            "line 2: `COPY`: `--chmod=u+x` needs an octal mode, such as `--chmod=0755`",
        ),
        (
            "FROM scratch\nCOPY --chmod=10000 a /",
            "line 2: `COPY`: `--chmod=10000` needs an octal mode, such as `--chmod=0755`",
        ),
        (
            "FROM scratch\nCOPY --chown=1:2 a",
            "line 2: `COPY`: a source and a destination must follow it",
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
    let rootfs = parse(lines).rootfs(context).map_err(|e| e.to_string())?;
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
        // The destination is a folder already, so the file goes into it.
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
fn says_which_source_or_destination_is_wrong() {
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

/// Owners and modes reach the layer (jib#1257).
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
    // a program without execute permission is refused before it is shipped
    let recipe = Recipe::parse("FROM scratch\nCOPY --chmod=644 app /app\nCMD [\"/app\"]\n");
    let error = assemble(&recipe.expect("a recipe"), &context, &Options::default())
        .expect_err("not executable")
        .to_string();
    assert!(error.contains("is not an executable file"), "{error}");
}
