//! The check of a handler's types: code that never runs, and compiles only if the function is a handler.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ReturnType, Type, Visibility, parse_quote};

use crate::faults::{argument_types, last_segment, states};
use crate::options::Options;

/// A function beside the handler that checks it.
pub(crate) fn of(function: &ItemFn, options: &Options) -> TokenStream {
    let name = format_ident!("__debug_handler_{}", function.sig.ident);
    let state = options.state.clone().or_else(|| states(function).first().copied().cloned());
    let state = state.unwrap_or_else(|| parse_quote!(()));
    let arguments = arguments(function, &state);
    let result = result(function);
    let future = if options.blocking { TokenStream::new() } else { future(function, result.is_some()) };
    quote! {
        #[doc(hidden)]
        #[allow(warnings, reason = "nothing calls it")]
        fn #name() {
            use ::avtomatika_worker::handler::debug as __debug;
            #arguments
            #result
            #future
        }
    }
}

/// Checks that every argument is an extractor, and can wait on any thread.
fn arguments(function: &ItemFn, state: &Type) -> TokenStream {
    let types = argument_types(function);
    let checks = types.iter().enumerate().map(|(index, ty)| {
        // The last argument may be an extractor of either kind, for which the compiler says less.
        let may_consume = index + 1 == types.len() && !is_known_part(ty);
        if let Some((name, types)) = last_segment(ty)
            && let ("Params", [params]) = (name.as_str(), types.as_slice())
        {
            quote_spanned! { params.span() => __debug::params::<#params>(); }
        } else if may_consume {
            quote_spanned! { ty.span() => __debug::last_argument::<#ty, #state, _>(); }
        } else {
            quote_spanned! { ty.span() => __debug::argument::<#ty, #state>(); }
        }
    });
    quote! { #(#checks)* }
}

/// Whether a type is one of the extractors that leave the task intact, by its name.
fn is_known_part(ty: &Type) -> bool {
    const NAMES: [&str; 8] = [
        "BlockingTaskFiles",
        "Extension",
        "Params",
        "RawParams",
        "State",
        "TaskContext",
        "TaskFiles",
        "Valid",
    ];
    last_segment(ty).is_some_and(|(name, _)| NAMES.contains(&name.as_str()))
}

/// Checks the result. None where its type is not written, so that only the future tells it.
fn result(function: &ItemFn) -> Option<TokenStream> {
    let ReturnType::Type(_, ty) = &function.sig.output else { return Some(TokenStream::new()) };
    let check = |ty: &Type| quote_spanned! { ty.span() => __debug::result::<#ty>(); };
    match last_segment(ty) {
        Some((name, types)) if name == "Result" && types.len() == 2 && is_written(types[0]) => {
            let (value, error) = (check(types[0]), types[1]);
            Some(quote_spanned! { error.span() => #value __debug::error::<#error>(); })
        }
        _ => is_written(ty).then(|| check(ty)),
    }
}

/// Whether a type is written in full: no `impl Trait`, no `!`, no future.
fn is_written(ty: &Type) -> bool {
    match ty {
        Type::ImplTrait(_) | Type::Never(_) => false,
        ty => last_segment(ty).is_none_or(|(name, _)| name != "Pin" && !name.ends_with("Future")),
    }
}

/// Checks the future. The function is copied into the check, since its name alone does not tell whether it stands in an
/// `impl`; only a function that names `Self` certainly does.
fn future(function: &ItemFn, is_result_checked: bool) -> TokenStream {
    let name = &function.sig.ident;
    let check = format_ident!("{}", if is_result_checked { "future" } else { "future_of_result" });
    let given = argument_types(function).into_iter().map(|_| quote! { ::core::panic!() });
    let span = name.span();
    if mentions_self(function.to_token_stream()) {
        return quote_spanned! { span => __debug::#check(Self::#name(#(#given),*)); };
    }
    let mut copy = function.clone();
    copy.vis = Visibility::Inherited;
    copy.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
    quote_spanned! { span =>
        #copy
        __debug::#check(#name(#(#given),*));
    }
}

fn mentions_self(tokens: TokenStream) -> bool {
    let is_self = |name: &Ident| name == "Self";
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(name) => is_self(&name),
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}
