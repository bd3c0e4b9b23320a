//! The JSON schema of a payload, without asking the user for one.
//!
//! `fn schema()` gets a type of its own, the mirror: the same fields and variants
//! under the same serde attributes, but generic over the types of the fields, and
//! it derives `JsonSchema`. Each type is then filled in by value, through method
//! resolution: the field's own if it implements `JsonSchema`, a container of
//! anything if it is a known container, else anything. So a field of a type
//! without a schema makes the payload's schema looser, and never an error.
//!
//! Two things the mirror can't know, and a pass over the finished schema mends
//! them: which fields may be absent, and how short an array may be. Fields are
//! marked for that, by what serde itself does without them.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Field, Fields, LitStr, Type, Variant};

use self::field::{Around, Place, carries_transparent};
use crate::serde_attributes::SerdeAttributes;

mod field;

/// The body of `fn schema()`.
pub(crate) fn schema(task: &DeriveInput, facade: &TokenStream) -> TokenStream {
    let private = quote!(#facade::__private);
    let mut mirror = Mirror {
        types: Vec::new(),
        task: task.ident.clone(),
        probe: quote!(#private::probe),
    };
    let container = SerdeAttributes::of(&task.attrs);
    let body = mirror.body(task, &container);
    let attributes = mirror.container_attributes(task, container);
    let Mirror { types, probe, .. } = mirror;
    let names: Vec<Ident> = (0..types.len()).map(parameter).collect();
    let generics = (!names.is_empty()).then(|| quote!(<#(#names),*>));
    let schemars = LitStr::new(
        &quote!(#private::schemars).to_string().replace(' ', ""),
        task.ident.span(),
    );
    quote! {
        use #probe::{Container as _, Unknown as _, Unread as _, WithoutSchema as _};

        #[derive(#private::schemars::JsonSchema)]
        #[schemars(crate = #schemars)]
        #attributes
        #[allow(dead_code, reason = "only its schema is used")]
        #body

        fn describe<#(#names: #private::schemars::JsonSchema),*>(
            _: (#(::core::marker::PhantomData<#names>,)*),
        ) -> #private::serde_json::Value {
            #probe::describe::<__Mirror #generics>()
        }

        ::core::option::Option::Some(
            #probe::Payload::<Self>::NEW.schema_or(|| describe((#((&#probe::Type::<#types>::NEW).choose(),)*)))
        )
    }
}

/// What is being mirrored.
struct Mirror {
    /// The types that the mirror's parameters stand for.
    types: Vec<TokenStream>,
    task: Ident,
    /// The path of the helpers.
    probe: TokenStream,
}

impl Mirror {
    /// `struct __Mirror<..> ..` or `enum __Mirror<..> ..`
    fn body(&mut self, task: &DeriveInput, container: &SerdeAttributes) -> TokenStream {
        if let Some(written_as) = container.quoted(&["from", "try_from"]) {
            let content = match written_as.parse::<Type>() {
                Ok(other) => self.parameter_for(&other),
                Err(_) => self.anything(),
            };
            return self.newtype(&content);
        }
        match &task.data {
            Data::Struct(data) if container.says(&["transparent"]) => {
                let content = data.fields.iter().find(|field| carries_transparent(field));
                let content = match content {
                    Some(field) => self.content(field),
                    None => self.anything(),
                };
                self.newtype(&content)
            }
            Data::Struct(data) => {
                let around = Around {
                    newtype: Place::Alone,
                    has_default: container.says(&["default"]),
                };
                let fields = self.fields(&data.fields, around);
                let generics = self.generics();
                let semicolon = (!matches!(data.fields, Fields::Named(_))).then(|| quote!(;));
                quote!(struct __Mirror #generics #fields #semicolon)
            }
            Data::Enum(data) if takes_any_variant(data) => {
                let anything = self.anything();
                self.newtype(&anything)
            }
            Data::Enum(data) => {
                let newtype = if container.says(&["content"]) {
                    Place::Named
                } else {
                    Place::Alone
                };
                let variants: Vec<TokenStream> = data
                    .variants
                    .iter()
                    .flat_map(|variant| self.variant(variant, newtype))
                    .collect();
                let generics = self.generics();
                quote!(enum __Mirror #generics { #(#variants),* })
            }
            // Refused before.
            Data::Union(_) => quote!(
                struct __Mirror;
            ),
        }
    }

    /// The attributes of the whole.
    fn container_attributes(&self, task: &DeriveInput, container: SerdeAttributes) -> TokenStream {
        let name = LitStr::new(
            task.ident.to_string().trim_start_matches("r#"),
            task.ident.span(),
        );
        let rename = (!container.says(&["rename"])).then(|| quote!(#[schemars(rename = #name)]));
        let flattens =
            all_fields(task).any(|field| SerdeAttributes::of(&field.attrs).says(&["flatten"]));
        // What a flattened field brings may be unknown to the mirror.
        let container = if flattens {
            container.without(&["deny_unknown_fields"])
        } else {
            container
        };
        // These are about the shape that `newtype` has put aside.
        let container =
            if container.says(&["from", "try_from", "transparent"]) || is_any_variant(task) {
                container.without(&[
                    "rename_all",
                    "rename_all_fields",
                    "deny_unknown_fields",
                    "tag",
                    "content",
                    "untagged",
                ])
            } else {
                container
            };
        let attributes = container.to_tokens();
        quote!(#rename #attributes)
    }

    /// A variant, and once more for each of its aliases.
    fn variant(&mut self, variant: &Variant, newtype: Place) -> Vec<TokenStream> {
        let attributes = SerdeAttributes::of(&variant.attrs);
        let ident = &variant.ident;
        let fields = if attributes.says(&["with", "serialize_with", "deserialize_with"]) {
            let anything = self.anything();
            quote!((#anything))
        } else {
            self.fields(
                &variant.fields,
                Around {
                    newtype,
                    has_default: false,
                },
            )
        };
        let aliases = if attributes.says(&["untagged"]) {
            Vec::new()
        } else {
            attributes.all_quoted("alias")
        };
        let tokens = attributes.to_tokens();
        let mut variants = vec![quote!(#tokens #ident #fields)];
        let tokens = attributes.without(&["rename"]).to_tokens();
        variants.extend(aliases.iter().enumerate().map(|(index, alias)| {
            let ident = format_ident!("{ident}__{index}");
            quote!(#tokens #[serde(rename = #alias)] #[deprecated] #ident #fields)
        }));
        variants
    }

    fn parameter_for(&mut self, content: &Type) -> TokenStream {
        self.types.push(content.to_token_stream());
        parameter(self.types.len() - 1).to_token_stream()
    }

    fn anything(&self) -> TokenStream {
        let probe = &self.probe;
        quote!(#probe::Anything)
    }

    fn newtype(&self, content: &TokenStream) -> TokenStream {
        let generics = self.generics();
        quote!(struct __Mirror #generics (#content);)
    }

    fn generics(&self) -> Option<TokenStream> {
        let names: Vec<Ident> = (0..self.types.len()).map(parameter).collect();
        (!names.is_empty()).then(|| quote!(<#(#names),*>))
    }
}

fn parameter(index: usize) -> Ident {
    format_ident!("__T{index}")
}

/// Whether a variant catches all names that the others don't have.
fn takes_any_variant(data: &DataEnum) -> bool {
    data.variants
        .iter()
        .any(|variant| SerdeAttributes::of(&variant.attrs).says(&["other"]))
}

fn is_any_variant(task: &DeriveInput) -> bool {
    matches!(&task.data, Data::Enum(data) if takes_any_variant(data))
}

fn all_fields(task: &DeriveInput) -> Box<dyn Iterator<Item = &Field> + '_> {
    match &task.data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(
            data.variants
                .iter()
                .flat_map(|variant| variant.fields.iter()),
        ),
        Data::Union(_) => Box::new(std::iter::empty()),
    }
}
