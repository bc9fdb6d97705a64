//! The faults of a handler that its text shows.

use quote::ToTokens;
use syn::{Error, FnArg, GenericParam, ItemFn, PathArguments, ReturnType, Type, TypeParamBound};

use crate::options::Options;

/// The largest number of arguments of a handler.
const MAX_ARGUMENTS: usize = 12;

/// All faults of a function in one error. None where the types decide.
pub(crate) fn of(function: &ItemFn, options: &Options) -> Option<Error> {
    let shape = [method(function), generic(function), kind(function, options), too_many(function)];
    let types = argument_types(function);
    let arguments = types.iter().enumerate().filter_map(|(index, ty)| {
        let message = fault_of_argument(ty, index + 1 == types.len())?;
        Some(Error::new_spanned(ty, message))
    });
    let faults = shape.into_iter().flatten().chain(arguments).chain(two_states(function, options));
    faults.reduce(|mut all, further| {
        all.combine(further);
        all
    })
}

fn method(function: &ItemFn) -> Option<Error> {
    let receiver = function.sig.receiver()?;
    let message = "a handler has no `self`: make it a function that takes `State<T>`, and give the worker the `T` by \
                   `with_state(…)`";
    Some(Error::new_spanned(receiver, message))
}

fn generic(function: &ItemFn) -> Option<Error> {
    let is_type = |param: &&GenericParam| !matches!(param, GenericParam::Lifetime(_));
    let param = function.sig.generics.params.iter().find(is_type)?;
    let name = &function.sig.ident;
    let message = format!(
        "`{name}` becomes a handler only with its types, as in `.task(\"{name}\", {name}::<…>)`: `debug_handler` \
         checks functions without type parameters"
    );
    Some(Error::new_spanned(param, message))
}

/// Neither async nor blocking, or both.
fn kind(function: &ItemFn, options: &Options) -> Option<Error> {
    let signature = &function.sig;
    match (signature.asyncness.is_some(), options.blocking) {
        (false, false) if !returns_future(&signature.output) => {
            let name = &signature.ident;
            let message = format!(
                "a handler is an `async fn`; a function that blocks is registered as `blocking({name})`, and checked \
                 by `#[debug_handler(blocking)]`"
            );
            Some(Error::new_spanned(signature.fn_token, message))
        }
        (true, true) => {
            let message = "`blocking` is for functions that are not `async`: register the function itself, and check \
                           it by `#[debug_handler]`";
            Some(Error::new_spanned(signature.asyncness, message))
        }
        _ => None,
    }
}

fn too_many(function: &ItemFn) -> Option<Error> {
    let arguments = &function.sig.inputs;
    let further = arguments.iter().nth(MAX_ARGUMENTS)?;
    let message = format!(
        "a handler has at most {MAX_ARGUMENTS} arguments, this one has {}: put several values into one `State` or one \
         `Params`",
        arguments.len()
    );
    Some(Error::new_spanned(further, message))
}

/// Two types of state, of which nothing says that they are parts of one.
fn two_states(function: &ItemFn, options: &Options) -> Option<Error> {
    if options.state.is_some() {
        return None;
    }
    let states = states(function);
    let first = text(states.first()?);
    let other = states.iter().find(|other| text(other) != first)?;
    let message = format!(
        "the state is `{first}` in an argument before; if both are parts of the worker's state, name that: \
         `#[debug_handler(state = …)]`"
    );
    Some(Error::new_spanned(other, message))
}

fn fault_of_argument(ty: &Type, is_last: bool) -> Option<String> {
    match ty {
        Type::Reference(reference) => {
            let owned = text(&reference.elem);
            Some(format!("an argument of a handler is a value of its own: `{owned}` in place of `{}`", text(ty)))
        }
        Type::ImplTrait(_) => Some("write the type of this argument: it is made by its type".to_owned()),
        _ if !is_last && last_segment(ty).is_some_and(|(name, _)| name == "TaskRequest") => Some(
            "`TaskRequest` is the whole task: only the last argument can take it. All others leave the task intact"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Whether a function that is not `async` returns a future all the same.
fn returns_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    match &**ty {
        Type::ImplTrait(bounds) => bounds.bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => {
                bound.path.segments.last().is_some_and(|last| last.ident == "Future")
            }
            _ => false,
        }),
        ty => last_segment(ty).is_some_and(|(name, _)| name == "Pin" || name.ends_with("Future")),
    }
}

/// The types of the arguments but `self`.
pub(crate) fn argument_types(function: &ItemFn) -> Vec<&Type> {
    let typed = function.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    });
    typed.collect()
}

/// The `T` of each argument `State<T>`.
pub(crate) fn states(function: &ItemFn) -> Vec<&Type> {
    let arguments = argument_types(function).into_iter().filter_map(last_segment);
    arguments.filter(|(name, _)| name == "State").filter_map(|(_, types)| types.first().copied()).collect()
}

/// The last name of a path, with its types: `Result` and `T`, `E` of `std::result::Result<T, E>`.
pub(crate) fn last_segment(ty: &Type) -> Option<(String, Vec<&Type>)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let types = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().filter_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => return Some((last.ident.to_string(), Vec::new())),
    };
    Some((last.ident.to_string(), types.collect()))
}

/// A type in the usual spelling.
fn text(ty: &dyn ToTokens) -> String {
    let spaced = ty.to_token_stream().to_string();
    spaced.replace(" < ", "<").replace(" >", ">").replace("& ", "&").replace(" :: ", "::").replace(" ,", ",")
}
