//! A task as code that runs it again: as a test, or as a command. Pure.

mod curl;
mod python;
mod rust;

use std::str::FromStr;

use crate::view::TaskView;

/// The largest data that a test compares with; larger ones are left to its author.
const MAX_DATA: usize = 16 * 1024;

/// A language in which a task can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Rust,
    Curl,
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "python" => Ok(Self::Python),
            "rust" => Ok(Self::Rust),
            "curl" => Ok(Self::Curl),
            _ => {
                let shown = crate::text::cut(text, 80);
                Err(format!("`lang` is `{shown}`, expected `python`, `rust` or `curl`"))
            }
        }
    }
}

/// What is needed of a task to run it again.
#[derive(Debug)]
pub(crate) struct Snippet<'a> {
    job_id: &'a str,
    name: &'a str,
    params: &'a str,
    priority: f64,
    timeout: f64,
    /// The status that a test expects.
    status: &'a str,
    /// The data that a test expects, if they can be the same again.
    data: Option<&'a str>,
    /// The failure of the task.
    error: Option<String>,
}

impl<'a> Snippet<'a> {
    pub(crate) fn of(view: &'a TaskView) -> Self {
        // The addresses of files have the id of the task in them.
        let is_repeatable = |data: &&str| data.len() <= MAX_DATA && !data.contains("s3:");
        let status = view.result_status.as_deref().filter(|status| *status != "cancelled");
        let data = view.data.as_ref().filter(|_| status.is_some()).map(|data| data.get());
        let error = view.error.as_ref().filter(|_| status.is_none());
        Self {
            job_id: view.job_id.as_str(),
            name: view.name.as_str(),
            params: view.params.as_ref().map_or("{}", |params| params.get()),
            priority: view.priority,
            timeout: view.timeout,
            status: status.unwrap_or("success"),
            data: data.filter(is_repeatable),
            error: error.map(|error| {
                let (code, message) = (error.code.as_str(), crate::text::cut(&error.message, 200));
                crate::text::cut(&format!("{code}: {message}"), 300)
            }),
        }
    }

    /// Writes the task in a language; `url` is the address of this orchestrator.
    pub(crate) fn write(&self, language: Language, url: &str) -> String {
        match language {
            Language::Python => python::write(self),
            Language::Rust => rust::write(self),
            Language::Curl => curl::write(self, url),
        }
    }

    /// The name of the task as part of the name of a function.
    fn function(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// Whether a character shows as itself, wherever it stands: no control character, and none that changes the direction or
/// the look of what surrounds it.
fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~') || (!character.is_ascii() && character.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_read_by_its_name() {
        assert_eq!("python".parse(), Ok(Language::Python));
        assert_eq!("rust".parse(), Ok(Language::Rust));
        assert_eq!("curl".parse(), Ok(Language::Curl));
        for unknown in ["", "Python", "perl"] {
            let error = unknown.parse::<Language>().expect_err("unknown");
            assert_eq!(error, format!("`lang` is `{unknown}`, expected `python`, `rust` or `curl`"));
        }
    }

    /// The task of the tests of each language.
    pub(super) fn snippet(params: &str) -> Snippet<'_> {
        Snippet {
            job_id: "job-ab-1",
            name: "resize-image",
            params,
            priority: 0.0,
            timeout: 60.0,
            status: "success",
            data: None,
            error: None,
        }
    }

    /// Parameters that break out of careless quotation.
    pub(super) const HOSTILE: [&str; 7] = [
        "{}",
        r#"{"it's": "$(reboot) `id` \\ \"", "n": 18446744073709551616}"#,
        "{\n\t\"a\":\r\n1.50 }",
        r###"{"raw": "\"\"\" ''' \"# \"## {x} %s"}"###,
        "{\"rtl\": \"\u{202e}abc\u{2066}\", \"ключ\": \"😀\u{feff}\"}",
        r#"{"half": "\ud800", "nul": "\u0000", "a": 1, "a": 2}"#,
        "{\"text\": \"\nEND_OF_TASK\n\"}",
    ];
}
