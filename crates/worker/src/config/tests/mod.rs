use super::*;

mod code;
mod effective;
mod orchestrators;
mod precedence;
mod problems;
mod resources;
mod table;
mod values;

fn config(variables: &[(&str, &str)]) -> WorkerConfig {
    WorkerConfig::from_variables(
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

/// The problems of a configuration, as text.
fn told(config: &WorkerConfig) -> Vec<String> {
    config.check().err().iter().flat_map(ConfigError::problems).map(ToString::to_string).collect()
}

/// The names of the variables that are wrong.
fn wrong(variables: &[(&str, &str)]) -> Vec<String> {
    let error = config(variables).check().expect_err("it is wrong");
    error.problems().iter().map(|problem| problem.variable.clone()).collect()
}
