//! Searching tasks for a text, without regard to case, in what people see of them. Pure.

use std::sync::Arc;

use memchr::memmem::Finder;
use rxon::model::Failure;
use rxon::{JobId, TaskId, TaskName, WorkerId};
use serde_json::value::RawValue;

use crate::literal;
use crate::view::TaskStatus;

/// A text to search for.
#[derive(Debug)]
pub(crate) struct Needle(Finder<'static>);

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        Self(Finder::new(&folded(text)).into_owned())
    }

    fn is_in(&self, text: &str) -> bool {
        self.0.find(folded(text).as_bytes()).is_some()
    }

    /// Whether JSON has the text, with the escapes in it replaced by what they stand for.
    fn is_in_json(&self, json: &str) -> bool {
        self.is_in(&literal::readable(json))
    }
}

/// Returns a text in the form in which texts are compared.
fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    // The two small sigmas are one letter; which one it is depends on its neighbours.
    if lower.contains('ς') { lower.replace('ς', "σ") } else { lower }
}

/// What is searched of a task.
#[derive(Debug)]
pub(crate) struct Haystack {
    pub(crate) job_id: JobId,
    pub(crate) task_ids: Vec<TaskId>,
    pub(crate) name: TaskName,
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) status: TaskStatus,
    pub(crate) params: Arc<RawValue>,
    pub(crate) data: Option<Arc<RawValue>>,
    pub(crate) error: Option<Arc<Failure>>,
}

impl Haystack {
    pub(crate) fn contains(&self, needle: &Needle) -> bool {
        let worker = self.worker_id.as_ref().map(WorkerId::as_str);
        let error = self.error.as_ref().map(|error| [error.code.as_str(), error.message.as_str()]);
        let mut texts = [self.job_id.as_str(), self.name.as_str(), self.status.as_str()]
            .into_iter()
            .chain(self.task_ids.iter().map(TaskId::as_str))
            .chain(worker)
            .chain(error.into_iter().flatten());
        texts.any(|text| needle.is_in(text))
            || needle.is_in_json(self.params.get())
            || self.data.as_ref().is_some_and(|data| needle.is_in_json(data.get()))
    }

    /// The number of bytes that may be many.
    pub(crate) fn length(&self) -> usize {
        let error = self.error.as_ref().map_or(0, |error| error.message.len());
        self.params.get().len() + self.data.as_ref().map_or(0, |data| data.get().len()) + error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Arc<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON").into()
    }

    fn haystack() -> Haystack {
        Haystack {
            job_id: JobId::received("job-ab-7").expect("not empty"),
            task_ids: vec![TaskId::received("task-ab-7-1").expect("not empty")],
            name: TaskName::new("Resize_image").expect("an identifier"),
            worker_id: Some(WorkerId::new("gpu-1").expect("an identifier")),
            status: TaskStatus::Failed,
            params: raw(
                r#"{"who": "\u041a\u041b\u042e\u0447 \ud83d\ude00", "path": "C:\\Temp\/x", "n":1.50}"#,
            ),
            data: Some(raw(r#"{"said": "\"Straße\"", "Σ": "ΟΔΟΣ"}"#)),
            error: Some(Arc::new(Failure {
                code: "INVALID_INPUT_ERROR".into(),
                message: "`width` is too large".to_owned(),
                details: None,
            })),
        }
    }

    #[test]
    fn everything_that_is_shown_is_found_in_any_case() {
        for text in [
            "",
            "JOB-ab-7",
            "k-AB-7-1",
            "resize_IMAGE",
            "GPU",
            "FAILED",
            "invalid_input",
            "`Width` is",
            "ключ",
            "КЛЮЧ 😀",
            r"c:\temp/X",
            r#""n":1.50"#,
            r#""straße"#,
            "STRAße",
            "οδοσ",
            "Οδος",
            "σ",
        ] {
            assert!(haystack().contains(&Needle::new(text)), "{text}");
        }
    }

    #[test]
    fn what_is_not_shown_is_not_found() {
        for text in ["u041a", r"\u", r"\\", r"\/", "1.5,", "finished", "gpu-2", "w i d t h", "STRASSE"] {
            assert!(!haystack().contains(&Needle::new(text)), "{text}");
        }
    }
}
