//! The derive macro of Majordomo's tasks. Use it through the crate `majordomo`.
//!
//! `attributes` reads `#[task(..)]`, `expand` writes the implementation, and
//! `mirror` the part of it that describes the payload as JSON schema.

mod attributes;
mod backoff;
mod description;
mod expand;
mod keys;
mod mirror;
mod naming;
mod serde_attributes;
mod unique;
mod value;

use proc_macro::TokenStream;

#[proc_macro_derive(Task, attributes(task, serde, schemars))]
#[doc = include_str!("task.md")]
pub fn derive_task(input: TokenStream) -> TokenStream {
    let task = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::task(&task).into()
}
