//! Keywords of a recipe: the supported instructions, and Docker's instructions that a recipe must
//! not have. Docker's Dockerfile reference, "Overview".

/// Defines the enum together with the data of each variant, so that no variant lacks any.
macro_rules! keywords {
    ($($(#[$documentation:meta])* $variant:ident $name:literal),+ $(,)?) => {
        /// A supported instruction.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Keyword {
            $($(#[$documentation])* $variant),+
        }

        impl Keyword {
            /// All supported instructions, in the order in which messages list them.
            pub const ALL: &[Keyword] = &[$(Keyword::$variant),+];

            /// The keyword in a recipe, in upper case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Keyword::$variant => $name),+
                }
            }
        }
    };
}

keywords! {
    /// Begins the only build stage.
    From "FROM",
    /// Copies files and folders of the context.
    Copy "COPY",
    /// Sets environment variables of the program.
    Env "ENV",
    /// Sets the user of the program.
    User "USER",
    /// Sets the working directory, which the build creates.
    WorkDir "WORKDIR",
    /// Declares ports.
    Expose "EXPOSE",
    /// Sets labels of the configuration.
    Label "LABEL",
    /// Sets the program and its first arguments.
    EntryPoint "ENTRYPOINT",
    /// Sets further arguments.
    Cmd "CMD",
}

impl Keyword {
    /// The keyword with this name; `name` is in upper case.
    pub fn parse(name: &str) -> Option<Keyword> {
        Keyword::ALL.iter().copied().find(|keyword| keyword.name() == name)
    }

    /// The keyword closest to a misspelled one, if it is close enough.
    pub fn near(written: &str) -> Option<&'static str> {
        let distances = Keyword::ALL
            .iter()
            .map(|known| (strsim::damerau_levenshtein(written, known.name()), known.name()));
        distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
    }

    /// All names, for an error message.
    pub fn list() -> String {
        Keyword::ALL.iter().map(|known| known.name()).collect::<Vec<_>>().join(", ")
    }
}

/// Why a recipe must not have this instruction of Docker's, and what to do instead; `None` for
/// words that Docker does not know.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    Some(match name {
        "RUN" => {
            "an image from scratch has nothing to run; do it before the image is built, then COPY \
             the result"
        }
        "ADD" => "use COPY",
        "ARG" => "one recipe makes one image, without arguments; use ENV, or write the value",
        "VOLUME" => "the platform gives the function /tmp and nothing else",
        "HEALTHCHECK" => "OCI images have no health check; the platform checks the port",
        "STOPSIGNAL" => "the function server stops on SIGTERM, which is the default",
        "ONBUILD" | "SHELL" | "MAINTAINER" => {
            "it has no meaning in an image from scratch; remove the line (a LABEL can name who \
             maintains it)"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    /// A valid argument. A new keyword needs one here before this compiles.
    fn example(keyword: Keyword) -> &'static str {
        match keyword {
            Keyword::From => "scratch",
            Keyword::Copy => "app /app",
            Keyword::Env => "A=1",
            Keyword::User => "65532",
            Keyword::WorkDir => "/srv",
            Keyword::Expose => "9000",
            Keyword::Label => "a=b",
            Keyword::EntryPoint | Keyword::Cmd => "[\"/app\"]",
        }
    }

    /// Regression: an earlier version handled a known keyword without a case as CMD.
    #[test]
    fn each_keyword_means_something_of_its_own() {
        let nothing = Recipe::parse("FROM scratch\n").expect("a recipe");
        let mut seen = vec![nothing.clone()];
        for keyword in Keyword::ALL {
            let line = format!("{} {}", keyword.name(), example(*keyword));
            if *keyword == Keyword::From {
                assert_eq!(Recipe::parse(&line).expect(&line), nothing);
                continue;
            }
            let recipe = Recipe::parse(&format!("FROM scratch\n{line}\n")).expect(&line);
            assert!(
                !seen.contains(&recipe),
                "`{line}` has no effect, or the effect of another keyword"
            );
            seen.push(recipe);
        }
    }

    #[test]
    fn each_keyword_is_found_by_its_name_wants_an_argument_and_is_suggested() {
        for keyword in Keyword::ALL {
            let name = keyword.name();
            assert_eq!(Keyword::parse(name), Some(*keyword));
            assert_eq!(unsupported(name), None, "{name} is both known and refused");
            let error = Recipe::parse(&format!("FROM scratch\n{}", name.to_lowercase()));
            let expected = format!("line 2: `{name}`: an argument is missing");
            assert_eq!(error.expect_err(name).to_string(), expected);
            assert_eq!(Keyword::near(&format!("{name}X")), Some(name));
            assert!(Keyword::list().contains(name));
        }
        assert_eq!((Keyword::parse("RUN"), Keyword::near("SOMETHING")), (None, None));
    }
}
