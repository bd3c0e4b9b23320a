//! From a type with its attributes to `impl Task`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Path};

use crate::attributes::Attributes;
use crate::keys::Mistakes;
use crate::{description, mirror, value};

/// The implementation, or all mistakes at once. After a mistake in an attribute
/// the implementation comes all the same, so that the rest of the program is
/// not told that there is none.
pub(crate) fn task(task: &DeriveInput) -> TokenStream {
    if let Some(refusal) = refuse(task) {
        return refusal.into_compile_error();
    }
    let mut mistakes = Mistakes::default();
    let attributes = Attributes::read(task, &mut mistakes);
    let mistakes = mistakes.into_error().map(Error::into_compile_error);
    let implementation = implement(task, &attributes);
    quote!(#mistakes #implementation)
}

/// Why this cannot be a task, if it can't.
fn refuse(task: &DeriveInput) -> Option<Error> {
    if let Data::Union(union) = &task.data {
        let why = "a union cannot be a task: its payload could not be written as JSON; use a struct or an enum";
        return Some(Error::new(union.union_token.span(), why));
    }
    if task.generics.lifetimes().next().is_some() {
        let why = "a type with lifetimes cannot be a task: a job outlives the call that enqueues it; own the data, \
                   for example as a `String`";
        return Some(Error::new_spanned(&task.generics, why));
    }
    if !task.generics.params.is_empty() {
        let why = "a generic type cannot be a task: the stable name of a task stands for one concrete type \
                   with one payload; name a concrete type, or wrap it in a struct of its own";
        return Some(Error::new_spanned(&task.generics, why));
    }
    None
}

fn implement(task: &DeriveInput, attributes: &Attributes) -> TokenStream {
    let ident = &task.ident;
    let facade = &attributes.facade;
    let private = quote!(#facade::__private);
    let core = quote!(#private::core);
    let name = &attributes.name;
    let output = attributes
        .output
        .as_ref()
        .map_or_else(|| quote!(()), |output| quote!(#output));
    let aliases = (!attributes.aliases.is_empty()).then(|| {
        let aliases = &attributes.aliases;
        quote!(const ALIASES: &'static [&'static str] = &[#(#aliases),*];)
    });
    let version = attributes
        .version
        .map(|version| quote!(const VERSION: u32 = #version;));
    let spec = spec(task, attributes, &core);
    let schema = attributes.schema.then(|| {
        let body = mirror::schema(task, facade);
        quote! {
            fn schema() -> ::core::option::Option<#private::serde_json::Value> { #body }
        }
    });
    let unique_key = attributes.unique.as_ref().map(|unique| {
        let key = unique.to_tokens(&name.value(), &private);
        quote! {
            fn unique_key(&self) -> ::core::option::Option<::std::string::String> { #key }
        }
    });
    let retry_delay = attributes
        .retry_delay
        .as_ref()
        .map(|function| retry_delay(function, &core));
    quote! {
        #[automatically_derived]
        impl #core::Task for #ident {
            type Output = #output;
            const NAME: &'static str = #name;
            #aliases
            #version
            #spec
            #schema
            #unique_key
            #retry_delay
        }
    }
}

/// `fn spec()`, or nothing if it would be the core's.
fn spec(task: &DeriveInput, attributes: &Attributes, core: &TokenStream) -> Option<TokenStream> {
    let text = |text: &str| quote!(::std::string::String::from(#text));
    let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
    let duration = |duration| some(value::duration_tokens(duration));
    let tags = &attributes.tags;
    let fields = [
        (
            "title",
            attributes
                .title
                .as_ref()
                .map(|title| some(text(&title.value()))),
        ),
        (
            "description",
            description::of(&task.attrs).map(|description| some(text(&description))),
        ),
        (
            "tags",
            (!tags.is_empty()).then(|| quote!(::core::iter::FromIterator::from_iter([#(#tags),*]))),
        ),
        (
            "queue",
            attributes.queue.as_ref().map(|queue| text(&queue.value())),
        ),
        (
            "priority",
            attributes.priority.map(|priority| quote!(#priority)),
        ),
        (
            "max_attempts",
            attributes.attempts.map(|attempts| quote!(#attempts)),
        ),
        (
            "backoff",
            attributes
                .backoff
                .as_ref()
                .map(|backoff| backoff.to_tokens(core)),
        ),
        ("timeout", attributes.timeout.map(duration)),
        ("expires_in", attributes.expires.map(duration)),
        ("retention", attributes.retention.map(duration)),
    ];
    let said: Vec<TokenStream> = fields
        .into_iter()
        .filter_map(|(field, value)| {
            let field = quote::format_ident!("{field}");
            value.map(|value| quote!(spec.#field = #value;))
        })
        .collect();
    (!said.is_empty()).then(|| {
        quote! {
            fn spec() -> #core::TaskSpec {
                let mut spec = <#core::TaskSpec as ::core::default::Default>::default();
                #(#said)*
                spec
            }
        }
    })
}

/// `fn retry_delay()`. The call has the path's span, so that a function of another shape is reported there.
fn retry_delay(function: &Path, core: &TokenStream) -> TokenStream {
    let call = quote_spanned!(function.span()=> #function(attempt, failure));
    quote! {
        fn retry_delay(attempt: u32, failure: &#core::Failure) -> ::core::option::Option<::core::time::Duration> {
            #call
        }
    }
}
