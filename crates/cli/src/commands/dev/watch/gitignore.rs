//! Patterns of `.gitignore` files.

/// A line of a `.gitignore` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Whether a match takes an earlier one back.
    pub(super) is_negated: bool,
    only_directories: bool,
    segments: Vec<Segment>,
}

/// A part of a pattern between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of names.
    Any,
    /// A pattern for one name.
    Name(Vec<Token>),
}

/// A part of a pattern for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`, `[!a]`
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a line. `None` for empty lines and comments.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = without_trailing_spaces(line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (is_negated, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (only_directories, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        // A slash, except at the end, ties the pattern to the directory of the file.
        let is_anchored = line.contains('/');
        let line = line.strip_prefix('/').unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let mut segments = if is_anchored { Vec::new() } else { vec![Segment::Any] };
        segments.extend(line.split('/').map(Segment::parse));
        Some(Self { is_negated, only_directories, segments })
    }

    /// Returns whether it matches a path, given as its names below the directory of the file.
    pub(super) fn matches(&self, names: &[&str], is_directory: bool) -> bool {
        (is_directory || !self.only_directories) && matches(&self.segments, names)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        if text == "**" {
            return Self::Any;
        }
        let characters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut rest = characters.as_slice();
        while let [first, after @ ..] = rest {
            rest = after;
            tokens.push(match first {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match rest {
                    [escaped, after @ ..] => {
                        rest = after;
                        Token::Literal(*escaped)
                    }
                    [] => Token::Literal('\\'),
                },
                '[' => match class(rest) {
                    Some((class, after)) => {
                        rest = after;
                        class
                    }
                    None => Token::Literal('['),
                },
                other => Token::Literal(*other),
            });
        }
        Self::Name(tokens)
    }
}

/// Reads a class, after its `[`. A `]` at its beginning belongs to it.
fn class(mut rest: &[char]) -> Option<(Token, &[char])> {
    let is_negated = matches!(rest.first()?, '!' | '^');
    if is_negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        let (first, after) = match rest {
            [']', after @ ..] if !ranges.is_empty() => {
                return Some((Token::Class { is_negated, ranges }, after));
            }
            ['\\', escaped, after @ ..] => (*escaped, after),
            [first, after @ ..] => (*first, after),
            [] => return None,
        };
        rest = after;
        match rest {
            ['-', last, after @ ..] if *last != ']' => {
                ranges.push((first, *last));
                rest = after;
            }
            _ => ranges.push((first, first)),
        }
    }
}

fn matches(segments: &[Segment], names: &[&str]) -> bool {
    match segments {
        [] => names.is_empty(),
        // At the end, it stands for everything inside, but not for the directory itself.
        [Segment::Any] => !names.is_empty(),
        [Segment::Any, rest @ ..] => (0..=names.len()).any(|skipped| matches(rest, &names[skipped..])),
        [Segment::Name(tokens), rest @ ..] => match names {
            [name, names @ ..] => {
                let name: Vec<char> = name.chars().collect();
                name_matches(tokens, &name) && matches(rest, names)
            }
            [] => false,
        },
    }
}

/// Matches a name. Only the last `*` has to be tried again, so the time is bounded by the product of the lengths.
fn name_matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut place) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while place < name.len() {
        let fits = match tokens.get(token) {
            Some(Token::Many) => {
                again = Some((token + 1, place));
                token += 1;
                continue;
            }
            Some(Token::Literal(wanted)) => *wanted == name[place],
            Some(Token::One) => true,
            Some(Token::Class { is_negated, ranges }) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&name[place])) != *is_negated
            }
            None => false,
        };
        if fits {
            (token, place) = (token + 1, place + 1);
        } else if let Some((after, from)) = again {
            (token, place) = (after, from + 1);
            again = Some((after, from + 1));
        } else {
            return false;
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

fn without_trailing_spaces(line: &str) -> &str {
    let trimmed = line.trim_end_matches([' ', '\t']);
    // A backslash keeps the first of them.
    if trimmed.ends_with('\\') && trimmed.len() < line.len() { &line[..=trimmed.len()] } else { trimmed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        let (path, is_directory) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let names: Vec<&str> = path.split('/').collect();
        Pattern::parse(pattern).expect("a pattern").matches(&names, is_directory)
    }

    #[test]
    fn patterns_match_as_those_of_git() {
        for (pattern, path, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "deep/below/a.log", true),
            ("*.log", "a.logs", false),
            ("build/", "build/", true),
            ("build/", "build", false),
            ("build/", "x/build/", true),
            ("/build", "build/", true),
            ("/build", "x/build", false),
            ("a/b", "a/b", true),
            ("a/b", "x/a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("**/a/b", "x/y/a/b", true),
            ("**/a", "a", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a/", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("?.c", "a.c", true),
            ("?.c", ".c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a[", "a[", true),
            (r"\#x", "#x", true),
            (r"\!x", "!x", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "anything", true),
            ("ü?", "üß", true),
            ("trailing  ", "trailing", true),
            (r"space\ ", "space ", true),
        ] {
            assert_eq!(is_match(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_no_patterns() {
        for line in ["", "# comment", "   ", "/", "\r"] {
            assert_eq!(Pattern::parse(line), None, "{line:?}");
        }
        assert!(Pattern::parse("!kept").is_some_and(|pattern| pattern.is_negated));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(40) + "b";
        assert!(!is_match(&pattern, &"a".repeat(250)));
    }
}
