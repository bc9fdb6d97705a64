//! The options of `debug_handler`.

use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, Result, Token, Type};

/// The options in the brackets of the attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The state of the worker, where it is not the type in the handler's `State<T>`.
    pub(crate) state: Option<Type>,
    /// Whether the function is registered as `blocking(function)`.
    pub(crate) blocking: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            if name == "blocking" {
                options.blocking = true;
            } else if name == "state" {
                input.parse::<Token![=]>()?;
                options.state = Some(input.parse()?);
            } else {
                let message = format!("unknown option `{name}`, expected `blocking` or `state = Type`");
                return Err(Error::new(name.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}
