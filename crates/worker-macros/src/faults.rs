//! The faults of a handler that its text shows.

use quote::ToTokens;
use syn::{Error, FnArg, GenericParam, ItemFn, PathArguments, ReturnType, Type, TypeParamBound};

use crate::options::Options;

/// The largest number of arguments of a handler.
const MAX_ARGUMENTS: usize = 12;

/// All faults of a function in one error. None where the types decide.
pub(crate) fn of(function: &ItemFn, options: &Options) -> Option<Error> {
    let signature = &function.sig;
    let mut faults = Vec::new();
    let mut fault = |place: &dyn ToTokens, message: String| faults.push(Error::new_spanned(place, message));
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        fault(
            receiver,
            "a handler has no `self`: make it a function that takes `State<T>`, and give the worker the `T` by \
             `with_state(…)`"
                .to_owned(),
        );
    }
    let generic = |param: &&GenericParam| !matches!(param, GenericParam::Lifetime(_));
    if let Some(param) = signature.generics.params.iter().find(generic) {
        let name = &signature.ident;
        fault(
            param,
            format!(
                "`{name}` becomes a handler only with its types, as in `.task(\"{name}\", {name}::<…>)`: \
                 `debug_handler` checks functions without type parameters"
            ),
        );
    }
    match (signature.asyncness.is_some(), options.blocking) {
        (false, false) if !returns_future(&signature.output) => {
            let name = &signature.ident;
            fault(
                &signature.fn_token,
                format!(
                    "a handler is an `async fn`; a function that blocks is registered as `blocking({name})`, and \
                     checked by `#[debug_handler(blocking)]`"
                ),
            );
        }
        (true, true) => fault(
            &signature.asyncness,
            "`blocking` is for functions that are not `async`: register the function itself, and check it by \
             `#[debug_handler]`"
                .to_owned(),
        ),
        _ => {}
    }
    if let Some(further) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        fault(
            further,
            format!(
                "a handler has at most {MAX_ARGUMENTS} arguments, this one has {}: put several values into one \
                 `State` or one `Params`",
                signature.inputs.len()
            ),
        );
    }
    let types = argument_types(function);
    for (index, ty) in types.iter().enumerate() {
        if let Some(message) = fault_of_argument(ty, index + 1 == types.len()) {
            fault(ty, message);
        }
    }
    if options.state.is_none()
        && let [first, others @ ..] = states(function).as_slice()
        && let Some(other) = others.iter().find(|other| text(other) != text(first))
    {
        fault(
            other,
            format!(
                "the state is `{}` in an argument before; if both are parts of the worker's state, name that: \
                 `#[debug_handler(state = …)]`",
                text(first)
            ),
        );
    }
    faults.into_iter().reduce(|mut all, further| {
        all.combine(further);
        all
    })
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
