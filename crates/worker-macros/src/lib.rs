//! Macros of the crate `avtomatika-worker`, which exports and documents them.

mod check;
mod faults;
mod options;

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemFn, parse_macro_input};

use crate::options::Options;

/// Makes the compiler say what keeps a function from being a task handler. Documented as `avtomatika_worker::debug_handler`.
#[proc_macro_attribute]
pub fn debug_handler(options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let function = parse_macro_input!(function as ItemFn);
    let checked = match faults::of(&function, &options) {
        None => check::of(&function, &options),
        Some(faults) => faults.into_compile_error(),
    };
    quote! { #function #checked }.into()
}
