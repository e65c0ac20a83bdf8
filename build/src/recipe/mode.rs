//! Modes of `COPY --chmod`: octal (`0755`) or symbolic (`u+x,go-w`). A symbolic mode changes the
//! file's own mode. POSIX.1-2017, chmod, "Extended Description". A text for which chmod(1) and
//! BuildKit give different results is an error.

/// The file creation mask for a clause without a user class: Docker Engine's own.
const UMASK: u32 = 0o022;
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// The effect of `--chmod` on a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange(Change);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// An octal number, which replaces the mode.
    Set(u32),
    /// A list of clauses, applied in order.
    Clauses(Vec<Clause>),
}

/// One clause such as `go-w`: the class, the operation and the bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Clause {
    /// The bits of the named classes user, group and others (0o7777 at most); `None` if the clause
    /// names no class.
    whose: Option<u32>,
    operation: Operation,
    bits: Bits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Remove,
    Assign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    /// `rwxst`, for user, group and others alike; `X` has the effect of `x` for folders and for
    /// files that already have an execute bit.
    Letters { bits: u32, or_search: bool },
    /// `u`, `g` or `o`: the three bits of this class, by their shift to the left.
    Of { shift: u32 },
}

impl ModeChange {
    /// Reads an octal mode of at most 7777 or a list of symbolic clauses.
    ///
    /// # Errors
    /// States what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<ModeChange, String> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            let mode = u32::from_str_radix(text, 8).ok().filter(|m| is_octal && *m <= 0o7777);
            let mode = mode.ok_or_else(|| {
                format!("`--chmod={text}` is not an octal mode, such as `--chmod=0755`")
            })?;
            return Ok(ModeChange(Change::Set(mode)));
        }
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            read_clause(clause, &mut clauses).map_err(|why| {
                format!(
                    "`--chmod={text}` {why}; write an octal mode, such as `--chmod=0755`, or a \
                     symbolic one, such as `--chmod=u+x,go-w`"
                )
            })?;
        }
        Ok(ModeChange(Change::Clauses(clauses)))
    }

    /// The new permission bits of a file or folder that had `mode`.
    pub(super) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match &self.0 {
            Change::Set(mode) => *mode,
            Change::Clauses(clauses) => {
                // `X` depends on the mode before any change.
                let is_searched = is_folder || mode & 0o111 != 0;
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_searched))
            }
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_searched: bool) -> u32 {
        let whose = self.whose.unwrap_or(0o7777 & !UMASK);
        let bits = match self.bits {
            Bits::Letters { bits, or_search: true } if is_searched => bits | 0o111,
            Bits::Letters { bits, .. } => bits,
            Bits::Of { shift } => (mode >> shift & 0o7) * 0o111,
        };
        let bits = bits & whose;
        match self.operation {
            Operation::Add => mode | bits,
            Operation::Remove => mode & !bits,
            // Without a class it clears all bits, regardless of the mask; only `t` changes the
            // sticky bit.
            Operation::Assign => mode & !(self.whose.unwrap_or(0o7777) & !STICKY) | bits,
        }
    }
}

/// Parses `ugo+rwx-w`: classes, then at least one operation. Each operation is a clause.
fn read_clause(text: &str, clauses: &mut Vec<Clause>) -> Result<(), String> {
    let names = text.len() - text.trim_start_matches(['u', 'g', 'o', 'a']).len();
    let (names, mut rest) = text.split_at(names);
    let whose = names.bytes().fold(0, |whose, name| {
        whose
            | match name {
                b'u' => SET_USER_ID | 0o700,
                b'g' => SET_GROUP_ID | 0o070,
                b'o' => 0o007,
                _ => 0o7777,
            }
    });
    let whose = (!names.is_empty()).then_some(whose);
    if rest.is_empty() {
        return Err(format!("contains `{text}`, which has no `+`, `-` or `=`"));
    }
    while let Some(sign) = rest.chars().next() {
        let operation = match sign {
            '+' => Operation::Add,
            '-' => Operation::Remove,
            '=' => Operation::Assign,
            other => return Err(format!("contains `{}`", other.escape_debug())),
        };
        let after = &rest[1..];
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, left) = after.split_at(end);
        rest = left;
        clauses.push(Clause { whose, operation, bits: read_bits(letters, whose, operation)? });
    }
    Ok(())
}

fn read_bits(letters: &str, whose: Option<u32>, operation: Operation) -> Result<Bits, String> {
    if let Some(shift) = [("u", 6), ("g", 3), ("o", 0)].iter().find(|(name, _)| *name == letters) {
        return Ok(Bits::Of { shift: shift.1 });
    }
    let (mut bits, mut or_search) = (0, false);
    for letter in letters.chars() {
        match letter {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            's' => bits |= SET_USER_ID | SET_GROUP_ID,
            // chmod(1) applies `t` to others, BuildKit to user and group.
            't' if whose.is_none_or(|whose| whose == 0o7777) => bits |= STICKY,
            't' => return Err("applies `t` to some classes only; write `+t` or `-t`".into()),
            // BuildKit ignores `X` after other operators.
            'X' if operation == Operation::Add => or_search = true,
            'X' => return Err("has an `X` that does not follow a `+`".into()),
            'u' | 'g' | 'o' => return Err(format!("mixes `{letter}` with other letters")),
            other => return Err(format!("contains `{}`", other.escape_debug())),
        }
    }
    Ok(Bits::Letters { bits, or_search })
}

#[cfg(test)]
mod tests {
    use super::ModeChange;

    #[test]
    fn octal_modes_set_and_symbolic_ones_change() {
        for (text, of_file, of_program, of_folder) in [
            ("755", 0o755, 0o755, 0o755),
            ("0640", 0o640, 0o640, 0o640),
            ("7777", 0o7777, 0o7777, 0o7777),
            ("u+x", 0o744, 0o755, 0o755),
            ("+x", 0o755, 0o755, 0o755),
            ("+w", 0o644, 0o755, 0o755), // the mask clears it for all but the user
            ("a+w", 0o666, 0o777, 0o777),
            ("go-w", 0o644, 0o755, 0o755),
            ("go=", 0o600, 0o700, 0o700),
            ("u=rw,go=r", 0o644, 0o644, 0o644),
            ("=rw,+X", 0o644, 0o755, 0o755),
            ("a-x,a+X", 0o644, 0o755, 0o755), // `X` depends on the mode before the change
            ("g=u-w", 0o644, 0o755, 0o755),
            ("o=u", 0o646, 0o757, 0o757),
            ("u+s,g+s", 0o6644, 0o6755, 0o6755),
            ("o+s", 0o644, 0o755, 0o755),
            ("+t", 0o1644, 0o1755, 0o1755),
            ("u+w-r", 0o244, 0o355, 0o355),
        ] {
            let change = ModeChange::parse(text).expect(text);
            let found =
                (change.apply(0o644, false), change.apply(0o755, false), change.apply(0o755, true));
            assert_eq!(found, (of_file, of_program, of_folder), "{text}: {found:?}");
        }
    }
}
