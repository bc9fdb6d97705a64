//! Text for a POSIX shell.

/// Quotes any text as one word.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns the lines that set variables in a shell.
pub(crate) fn exports(variables: &[(&'static str, String)]) -> Vec<String> {
    variables.iter().map(|(name, value)| format!("  export {name}={}", quoted(value))).collect()
}
