//! Parameters checked by garde.

use garde::{Report, Validate};
use serde::de::DeserializeOwned;

use super::argument::FromTaskParts;
use super::params::Params;
use super::rejection::Rejection;
use super::request::TaskParts;

/// Parameters that obey the rules of their type, written with [`garde`] (0.23).
///
/// Invalid parameters end the task with `INVALID_INPUT_ERROR` before the handler runs. A wrong shape is reported as by
/// [`Params`], with its path. All broken rules are reported, each with its path: in the message (the first 20) and in
/// `details.problems` (the first 1,000; `details.omitted` is the number of the rest). The paths use the names of the
/// Rust fields even if serde renames them: garde knows no others.
///
/// Rules that need a context are checked with its default. To use a context of your own, check in the handler:
/// `params.validate_with(&context).map_err(Rejection::from)?` reports the same.
///
/// ```
/// use avtomatika_worker::prelude::*;
/// use garde::Validate;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, Validate)]
/// struct Resize {
///     #[garde(range(min = 1, max = 8192))]
///     width: u32,
///     #[garde(length(min = 1), inner(length(min = 1)))]
///     tags: Vec<String>,
/// }
///
/// async fn resize(Valid(Params(size)): Valid<Params<Resize>>) {
///     assert!(size.width > 0 && !size.tags.is_empty());
/// }
///
/// let builder = Worker::builder().task("resize", resize);
/// # let _: avtomatika_worker::WorkerBuilder = builder;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Valid<T>(pub T);

impl<T, S> FromTaskParts<S> for Valid<Params<T>>
where
    T: DeserializeOwned + Validate + Send,
    T::Context: Default,
    S: Sync,
{
    type Rejection = Rejection;

    async fn from_task_parts(parts: &mut TaskParts, state: &S) -> Result<Self, Rejection> {
        let params = Params::<T>::from_task_parts(parts, state).await?;
        params.0.validate()?;
        Ok(Self(params))
    }
}

/// Reports all problems, each with its path.
impl From<Report> for Rejection {
    fn from(report: Report) -> Self {
        let texts = |(path, problem): &(garde::Path, garde::Error)| {
            let path = if path.is_empty() { ".".to_owned() } else { path.to_string() };
            (path, problem.to_string())
        };
        let mut problems: Vec<_> = report.iter().map(texts).collect();
        // The order in garde's report changes from one build to the next.
        problems.sort_by(|(path, problem), (other, other_problem)| {
            steps(path).cmp(steps(other)).then_with(|| problem.cmp(other_problem))
        });
        Self::problems(problems)
    }
}

/// Splits a path into its steps, with indices as numbers.
fn steps(path: &str) -> impl Iterator<Item = (Option<u64>, &str)> {
    path.split(['.', '[', ']']).map(|step| (step.parse().ok(), step))
}

#[cfg(test)]
mod tests {
    use garde::{Error, Path};
    use serde_json::{Value, json};

    use super::*;

    fn reported(report: Report) -> (String, Value) {
        let error = Rejection::from(report).error().clone();
        let details = error.details().and_then(|details| serde_json::from_str(details).ok());
        (error.to_string(), details.expect("details"))
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let mut report = Report::new();
        report.append(Path::new("items").join(2).join("width"), Error::new("lower than 1"));
        assert_eq!(
            reported(report.clone()).0,
            "INVALID_INPUT_ERROR: invalid params at `items[2].width`: lower than 1"
        );
        report.append(Path::empty(), Error::new("too much"));
        let (message, details) = reported(report);
        assert_eq!(
            message,
            "INVALID_INPUT_ERROR: invalid params: too much; at `items[2].width`: lower than 1"
        );
        let expected = json!({"problems": [
            {"path": ".", "problem": "too much"}, {"path": "items[2].width", "problem": "lower than 1"},
        ]});
        assert_eq!(details, expected);
    }

    #[test]
    fn a_long_list_of_problems_is_cut_and_counted() {
        let mut report = Report::new();
        for index in (0..1500).rev() {
            report.append(Path::new("items").join(index), Error::new("length is lower than 1"));
        }
        let (message, details) = reported(report);
        assert!(message.contains("at `items[19]`") && !message.contains("at `items[20]`"), "{message}");
        assert!(message.ends_with("; and 1480 more"), "{message}");
        assert_eq!(details["problems"].as_array().map(Vec::len), Some(1000));
        assert_eq!(details["omitted"], 500);
    }
}
