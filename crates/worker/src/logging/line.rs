//! One line for each record, without secrets.

use std::borrow::Cow;
use std::io;

use rxon::secrets::masked;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Prepares a text for a log: the secrets of all workers in this process become `***`, and characters that would end the
/// line or control a terminal are escaped (`\n`, `\t`, `\u{1b}` …).
///
/// For programs that write their log themselves; the log of [`init`](super::init) is already like this.
///
/// ```
/// use avtomatika_worker::logging::one_line;
///
/// assert_eq!(one_line("no route\n\u{1b}[2J"), r"no route\n\u{1b}[2J");
/// ```
pub fn one_line(text: &str) -> Cow<'_, str> {
    rxon::text::one_line(text)
}

/// The format of a record. JSON has its own way of escaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

/// Turns the records of the formatter into lines. Each call writes one whole record.
#[derive(Debug, Clone)]
pub(super) struct Lines<W> {
    inner: W,
    form: Form,
}

impl<W> Lines<W> {
    pub(super) fn new(inner: W, form: Form) -> Self {
        Self { inner, form }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Lines<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines::new(self.inner.make_writer(), self.form)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Lines::new(self.inner.make_writer_for(metadata), self.form)
    }
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let mut line = match self.form {
            Form::Text => one_line(text),
            Form::Json => masked(text),
        }
        .into_owned();
        line.push_str(end);
        self.inner.write_all(line.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rxon::secrets::Secrets;

    use super::*;
    use crate::threads::lock;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of a record with the same text in every place that can hold a text.
    fn logged(form: Form, text: &'static str) -> String {
        let written = Written::default();
        let of_writer = written.clone();
        let lines = Lines::new(move || of_writer.clone(), form);
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines);
        let emit = || {
            tracing::error_span!("span", shown = %text, quoted = ?text, text).in_scope(|| {
                let error: &(dyn std::error::Error + 'static) = &io::Error::other(text);
                tracing::error!(shown = %text, quoted = ?text, text, error, "said: {text}");
            });
        };
        match form {
            Form::Text => tracing::subscriber::with_default(subscriber.finish(), emit),
            Form::Json => tracing::subscriber::with_default(subscriber.json().finish(), emit),
        }
        let bytes = lock(&written.0).clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        for form in [Form::Text, Form::Json] {
            let log = logged(form, "a\nb\rc\u{1b}[2J\u{85}\u{2028}d\te\u{7f}");
            assert_eq!(log.matches('\n').count(), 1, "{log}");
            assert!(log.ends_with('\n'), "{log}");
            assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log:?}");
        }
        let log = logged(Form::Text, "a\nb\u{85}\u{2028}\u{7f}");
        assert!(
            !log.trim_end_matches('\n').contains(|char: char| char.is_control() || char == '\u{2028}'),
            "{log:?}"
        );
        assert!(log.contains(r"said: a\nb"), "{log}");
    }

    #[test]
    fn no_place_of_a_record_shows_a_secret() {
        let _held = Secrets::new(["written-\"token\"-1".to_owned()]);
        for form in [Form::Text, Form::Json] {
            let log = logged(form, "a written-\"token\"-1 b");
            assert!(!log.contains("written") && log.contains("a *** b"), "{log}");
        }
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let log = logged(Form::Json, "a\nb\u{7f}");
        assert!(serde_json::from_str::<serde_json::Value>(&log).is_ok(), "{log}");
    }

    #[test]
    fn a_usual_text_is_not_copied() {
        assert!(matches!(one_line("task ended `ü`"), Cow::Borrowed(_)));
    }
}
