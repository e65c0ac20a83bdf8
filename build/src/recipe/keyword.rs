//! Keywords of a recipe: the supported instructions, and Docker's that a recipe must not have.
//! Docker's Dockerfile reference, "Overview".

/// Defines the enum together with the data of each variant, so that no variant lacks any.
macro_rules! keywords {
    ($($(#[$documentation:meta])* $variant:ident $name:literal),+ $(,)?) => {
        /// An instruction that is understood.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Keyword {
            $($(#[$documentation])* $variant),+
        }

        impl Keyword {
            /// All of them, in the order in which messages list them.
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
    /// Begins the only stage.
    From "FROM",
    /// Files and folders of the context.
    Copy "COPY",
    /// Variables of the program.
    Env "ENV",
    /// The user of the program.
    User "USER",
    /// The working directory, which the build creates.
    WorkDir "WORKDIR",
    /// Ports.
    Expose "EXPOSE",
    /// Labels of the configuration.
    Label "LABEL",
    /// The program and its first arguments.
    EntryPoint "ENTRYPOINT",
    /// Further arguments.
    Cmd "CMD",
}

impl Keyword {
    /// The keyword with this name; `name` is in upper case.
    pub fn parse(name: &str) -> Option<Keyword> {
        Keyword::ALL.iter().copied().find(|keyword| keyword.name() == name)
    }

    /// The nearest keyword to a misspelled one, if it is near enough.
    pub fn near(written: &str) -> Option<&'static str> {
        let distances = Keyword::ALL
            .iter()
            .map(|known| (strsim::damerau_levenshtein(written, known.name()), known.name()));
        distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
    }

    /// All names, for a message.
    pub fn list() -> String {
        Keyword::ALL.iter().map(|known| known.name()).collect::<Vec<_>>().join(", ")
    }
}

/// Why a recipe must not have an instruction of Docker's, and what to do; `None` for words that
/// Docker does not know either.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    Some(match name {
        "RUN" => {
            "an image from scratch has nothing to run; do it before the image is built, then COPY \
             the result"
        }
        "ADD" => "use COPY",
        "ARG" => "a recipe with arguments is not one image; use ENV, or write the value",
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

    /// An earlier version handled a known keyword without a case as CMD.
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
            assert!(!seen.contains(&recipe), "`{line}` does nothing, or what another does");
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
            let expected = format!("line 2: `{name}`: something must follow it");
            assert_eq!(error.expect_err(name).to_string(), expected);
            assert_eq!(Keyword::near(&format!("{name}X")), Some(name));
            assert!(Keyword::list().contains(name));
        }
        assert_eq!((Keyword::parse("RUN"), Keyword::near("SOMETHING")), (None, None));
    }
}
