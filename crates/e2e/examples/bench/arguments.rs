//! The arguments of a process, taken one by one.

/// Arguments that nothing has used yet.
#[derive(Debug)]
pub(crate) struct Arguments<'a>(Vec<&'a str>);

impl<'a> Arguments<'a> {
    pub(crate) fn new(words: &[&'a str]) -> Self {
        Self(words.to_vec())
    }

    /// Takes `name VALUE`. The last one wins.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        Ok(self.options(name)?.pop())
    }

    /// Takes every `name VALUE`.
    pub(crate) fn options(&mut self, name: &str) -> Result<Vec<&'a str>, String> {
        let mut values = Vec::new();
        while let Some(place) = self.0.iter().position(|word| *word == name) {
            let value = self.0.get(place + 1).filter(|value| !value.starts_with("--"));
            values.push(*value.ok_or_else(|| format!("`{name}` needs a value"))?);
            self.0.drain(place..place + 2);
        }
        Ok(values)
    }

    /// Takes `name NUMBER`.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<usize>, String> {
        self.option(name)?.map(number).transpose()
    }

    /// Takes the flag `name`, and returns whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| *word != name);
        self.0.len() < before
    }

    /// Returns the rest, which must be as many words as expected.
    pub(crate) fn words<const N: usize>(self, expected: &str) -> Result<[&'a str; N], String> {
        if let Some(option) = self.0.iter().find(|word| word.starts_with("--")) {
            return Err(format!("unknown option `{option}`"));
        }
        let given = self.0.join(" ");
        self.0.try_into().map_err(|_| format!("`{given}` was given, expected {expected}"))
    }
}

/// Reads a number above 0.
pub(crate) fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("`{text}` is not a number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere_and_the_last_one_wins() {
        let mut arguments =
            Arguments::new(&["--n", "1", "url", "--quick", "--n", "2", "--a", "x", "--a", "y"]);
        assert_eq!(arguments.number("--n"), Ok(Some(2)));
        assert_eq!(arguments.number("--m"), Ok(None));
        assert_eq!(arguments.options("--a"), Ok(vec!["x", "y"]));
        assert!(arguments.flag("--quick") && !arguments.flag("--quick"));
        assert_eq!(arguments.words("an address"), Ok(["url"]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Arguments::new(&["--n"]).option("--n"), Err("`--n` needs a value".to_owned()));
        assert_eq!(Arguments::new(&["--n", "--m"]).option("--n"), Err("`--n` needs a value".to_owned()));
        assert_eq!(
            Arguments::new(&["--n", "0"]).number("--n"),
            Err("`0` is not a number above 0".to_owned())
        );
        assert_eq!(Arguments::new(&["--n"]).words::<0>("nothing"), Err("unknown option `--n`".to_owned()));
        let expected = Err("`a b` was given, expected an address".to_owned());
        assert_eq!(Arguments::new(&["a", "b"]).words::<1>("an address"), expected);
    }
}
