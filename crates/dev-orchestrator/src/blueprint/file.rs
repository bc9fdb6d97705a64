//! Reading a blueprint, and checking it: a wrong one is refused before the first job.

use std::collections::BTreeMap;
use std::sync::Arc;

use rxon::TaskName;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::template::Template;
use super::{Blueprint, BlueprintError, FAILED, FINISHED, State, toml};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    start: String,
    states: BTreeMap<String, FileState>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileState {
    task: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
    #[serde(default)]
    on: BTreeMap<String, String>,
}

impl Blueprint {
    /// Reads a blueprint in TOML.
    ///
    /// # Errors
    /// When it is not TOML, or no blueprint; the text names the state and the key.
    pub fn from_toml(text: &str) -> Result<Self, BlueprintError> {
        Self::from_json(&toml::to_json(text)?.to_string())
    }

    /// Reads a blueprint in JSON, with the same members as in TOML. Numbers in its parameters stay as they are spelled.
    ///
    /// # Errors
    /// When it is not JSON, or no blueprint; the text names the state and the key.
    pub fn from_json(text: &str) -> Result<Self, BlueprintError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let file: File = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let place = error.path().to_string();
            let problem = error.into_inner();
            match place.as_str() {
                "." => BlueprintError(problem.to_string()),
                place => BlueprintError::at(place, problem),
            }
        })?;
        reader.end().map_err(|error| BlueprintError(error.to_string()))?;
        Self::checked(file)
    }

    fn checked(file: File) -> Result<Self, BlueprintError> {
        let name = TaskName::new(&file.name).map_err(|error| BlueprintError::at("name", error))?;
        if file.states.is_empty() {
            return Err(BlueprintError::at("states", "there are none, expected one at least"));
        }
        let names: Vec<&str> = file.states.keys().map(String::as_str).collect();
        if !file.states.contains_key(&file.start) {
            let problem = format!("there is no state `{}`, expected {}", file.start, listed(&names));
            return Err(BlueprintError::at("start", problem));
        }
        for (state, FileState { on, .. }) in &file.states {
            check_name(state)?;
            check_transitions(state, on, &names)?;
        }
        let state = |(name, state): (String, FileState)| Ok((name.clone(), checked_state(&name, state)?));
        let states: BTreeMap<_, _> = file.states.into_iter().map(state).collect::<Result<_, _>>()?;
        Ok(Self { name, start: file.start, states: Arc::new(states) })
    }
}

fn check_name(state: &str) -> Result<(), BlueprintError> {
    let problem = match state {
        "" => "the name of a state is empty".to_owned(),
        FINISHED | FAILED => format!("`{state}` is an end state, which runs no task: expected another name"),
        _ => return Ok(()),
    };
    Err(BlueprintError::at(&format!("states.{state}"), problem))
}

fn check_transitions(
    state: &str,
    on: &BTreeMap<String, String>,
    names: &[&str],
) -> Result<(), BlueprintError> {
    let is_known = |next: &str| names.contains(&next) || [FINISHED, FAILED].contains(&next);
    let Some((status, next)) = on.iter().find(|(_, next)| !is_known(next)) else { return Ok(()) };
    let known: Vec<&str> = names.iter().copied().chain([FINISHED, FAILED]).collect();
    let problem = format!("there is no state `{next}`, expected {}", listed(&known));
    Err(BlueprintError::at(&format!("states.{state}.on.{status}"), problem))
}

fn checked_state(name: &str, state: FileState) -> Result<State, BlueprintError> {
    let place = |key: &str| format!("states.{name}.{key}");
    let task = TaskName::new(&state.task).map_err(|error| BlueprintError::at(&place("task"), error))?;
    let params = state.params.unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("JSON"));
    if !params.get().starts_with('{') {
        let shown = crate::text::cut(params.get(), 80);
        let problem = format!("`{shown}` are no parameters, expected an object");
        return Err(BlueprintError::at(&place("params"), problem));
    }
    let template = Template::read(&params, &place("params"))?;
    Ok(State { task, params, template, on: state.on })
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_STEPS: &str = r#"
        name = "two_step"
        start = "first"
        [states.first]
        task = "resize"
        params = { image = "$.image", width = 10, ratio = 0.1 }
        on = { success = "second", failure = "failed", needs_review = "failed" }
        [states.second]
        task = "notify"
        on = { success = "finished" }
    "#;

    #[test]
    fn both_notations_say_the_same() {
        let toml = Blueprint::from_toml(TWO_STEPS).expect("a blueprint");
        let text = serde_json::to_string(&toml).expect("JSON");
        let json = Blueprint::from_json(&text).expect("a blueprint");
        assert_eq!(serde_json::to_string(&json).expect("JSON"), text);
        assert_eq!((json.name(), json.start.as_str()), ("two_step", "first"));
        assert_eq!(json.states["first"].params.get(), r#"{"image":"$.image","ratio":0.1,"width":10}"#);
        assert_eq!(json.states["second"].params.get(), "{}");
    }

    #[test]
    fn a_wrong_file_is_refused_with_state_and_key() {
        for (from, to, words) in [
            ("task = \"resize\"", "", "`states.first`: missing field `task`"),
            ("task = \"resize\"", "task = 5", "`states.first.task`: invalid type: integer `5`"),
            ("task = \"resize\"", "task = \"a b\"", "`states.first.task`: "),
            ("task = \"resize\"", "task = \"resize\"\ntimeout = 5", "unknown field `timeout`"),
            (
                "success = \"second\"",
                "success = \"third\"",
                "`states.first.on.success`: there is no state `third`",
            ),
            ("success = \"second\"", "success = 1", "`states.first.on.success`: invalid type"),
            (
                "start = \"first\"",
                "start = \"begin\"",
                "`start`: there is no state `begin`, expected `first` or `second`",
            ),
            ("start = \"first\"", "", "missing field `start`"),
            ("name = \"two_step\"", "name = \"\"", "`name`: "),
            ("[states.second]", "[states.finished]", "`states.finished`: "),
            ("\"$.image\"", "\"$.image..x\"", "`states.first.params.image`: "),
            ("\"$.image\"", "1979-05-27", "`states.first.params.image`: `1979-05-27` is a time"),
            ("\"$.image\"", "[1, nan]", "`states.first.params.image[1]`: `NaN`"),
            ("{ image = \"$.image\", width = 10, ratio = 0.1 }", "[1]", "`states.first.params`: `[1]`"),
            ("task = \"notify\"", "task = ", "line 9 is not TOML: "),
        ] {
            let text = TWO_STEPS.replacen(from, to, 1);
            let error = Blueprint::from_toml(&text).expect_err(words).to_string();
            assert!(error.contains(words), "{error} instead of {words}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (json, words) in [
            ("", "EOF"),
            ("{} x", "missing field"),
            (r#"{"name":"a","start":"b","states":{}}"#, "`states`: there are none"),
            (r#"{"name":"a","start":"b","states":{"b":{"task":"t"}}} x"#, "trailing"),
        ] {
            let error = Blueprint::from_json(json).expect_err(words).to_string();
            assert!(error.contains(words), "{error} instead of {words}");
        }
    }
}
