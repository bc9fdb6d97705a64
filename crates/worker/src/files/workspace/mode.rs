//! The mode in which a file is opened.

use std::str::FromStr;

use cap_std::fs::OpenOptions;

use crate::files::error::FileError;

/// The mode in which a file is opened. It can be parsed from the modes of Python's `open`: one of `r`, `w`, `a`, `x`, with
/// `+` and one of `b`, `t` if needed, in any order.
///
/// ```
/// use avtomatika_worker::files::OpenMode;
///
/// assert_eq!("rb".parse::<OpenMode>().unwrap(), OpenMode::READ);
/// assert!("rw".parse::<OpenMode>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the operating system")]
pub struct OpenMode {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
}

impl OpenMode {
    const NOTHING: Self =
        Self { read: false, write: false, append: false, truncate: false, create: false, create_new: false };

    /// Opens an existing file for reading.
    pub const READ: Self = Self { read: true, ..Self::NOTHING };
    /// Opens an existing file for reading and writing.
    pub const UPDATE: Self = Self { read: true, write: true, ..Self::NOTHING };
    /// Creates a file, or empties an existing one, for writing.
    pub const WRITE: Self = Self { write: true, truncate: true, create: true, ..Self::NOTHING };
    /// Creates a file, or opens an existing one, for writing at its end.
    pub const APPEND: Self = Self { append: true, create: true, ..Self::NOTHING };
    /// Creates a file for reading and writing. An existing file is an error.
    pub const CREATE_NEW: Self = Self { read: true, write: true, create_new: true, ..Self::NOTHING };

    /// Whether the file can be written to.
    pub fn writes(self) -> bool {
        self.write || self.append
    }

    pub(in crate::files) fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options
            .read(self.read)
            .write(self.write)
            .append(self.append)
            .truncate(self.truncate)
            .create(self.create)
            .create_new(self.create_new);
        options
    }
}

impl FromStr for OpenMode {
    type Err = FileError;

    fn from_str(text: &str) -> Result<Self, FileError> {
        let wrong = || {
            FileError::unusable(format!(
                "the mode is `{text}`, expected `r`, `w`, `a` or `x`, perhaps with `+`, `b`, `t`"
            ))
        };
        let (flags, named): (String, String) = text.chars().partition(|letter| "+bt".contains(*letter));
        let mode = match named.as_str() {
            "r" => Self::READ,
            "w" => Self::WRITE,
            "a" => Self::APPEND,
            "x" => Self { read: false, ..Self::CREATE_NEW },
            _ => return Err(wrong()),
        };
        let plus = match flags.replacen(['b', 't'], "", 1).as_str() {
            "" => false,
            "+" => true,
            _ => return Err(wrong()),
        };
        Ok(if plus { Self { read: true, write: !mode.append, ..mode } } else { mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_python() {
        for (text, expected) in [
            ("r", OpenMode::READ),
            ("rt", OpenMode::READ),
            ("br", OpenMode::READ),
            ("r+b", OpenMode::UPDATE),
            ("wb", OpenMode::WRITE),
            ("a", OpenMode::APPEND),
            ("x+", OpenMode::CREATE_NEW),
        ] {
            assert_eq!(text.parse::<OpenMode>().expect(text), expected, "{text}");
        }
        for text in ["", "b", "rw", "rr", "r++", "rbt", "q", "r b"] {
            let error = text.parse::<OpenMode>().expect_err(text);
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
