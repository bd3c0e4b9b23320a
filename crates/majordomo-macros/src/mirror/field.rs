//! The fields of a mirror: which type each has, and how its absence is found out.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Field, Fields, Type};

use super::Mirror;
use crate::serde_attributes::SerdeAttributes;

/// Where a field stands, as far as it decides what its absence means.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// Under a name: serde is asked whether it can be absent.
    Named,
    /// In an array: absent only if it has a default.
    Positional,
    /// The whole content: never absent.
    Alone,
}

/// What the struct or variant around a field decides about it.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// Where a lone field without a name stands.
    pub(super) newtype: Place,
    /// Whether an absent field is taken from a default of the whole.
    pub(super) has_default: bool,
}

impl Mirror {
    /// The fields with their brackets; nothing for a unit.
    pub(super) fn fields(&mut self, fields: &Fields, around: Around) -> TokenStream {
        match fields {
            Fields::Named(fields) => {
                let fields: Vec<_> = fields
                    .named
                    .iter()
                    .flat_map(|field| self.named(field, around))
                    .collect();
                quote!({ #(#fields),* })
            }
            Fields::Unnamed(fields) => {
                let is_lone = fields.unnamed.len() == 1;
                let place = if is_lone {
                    around.newtype
                } else {
                    Place::Positional
                };
                let fields: Vec<_> = fields
                    .unnamed
                    .iter()
                    .map(|field| self.unnamed(field, place, around))
                    .collect();
                quote!((#(#fields),*))
            }
            Fields::Unit => TokenStream::new(),
        }
    }

    /// A field under its name, and once more under each of its aliases.
    fn named(&mut self, field: &Field, around: Around) -> Vec<TokenStream> {
        let attributes = SerdeAttributes::of(&field.attrs);
        let ident = field.ident.as_ref();
        let content = self.type_of(field, &attributes);
        let mark = self.mark(field, &attributes, Place::Named, around);
        let aliases = attributes.all_quoted("alias");
        let tokens = attributes.to_tokens();
        let mut fields = vec![quote!(#tokens #mark #ident: #content)];
        let tokens = attributes.without(&["rename"]).to_tokens();
        fields.extend(aliases.iter().enumerate().map(|(index, alias)| {
            let ident = ident.map(|ident| format_ident!("__{index}_{ident}"));
            quote!(#tokens #mark #[serde(rename = #alias)] #[deprecated] #ident: #content)
        }));
        fields
    }

    fn unnamed(&mut self, field: &Field, place: Place, around: Around) -> TokenStream {
        let attributes = SerdeAttributes::of(&field.attrs);
        let content = self.type_of(field, &attributes);
        let mark = self.mark(field, &attributes, place, around);
        let tokens = attributes.to_tokens();
        quote!(#tokens #mark #content)
    }

    /// The one field of a transparent struct.
    pub(super) fn content(&mut self, field: &Field) -> TokenStream {
        let attributes = SerdeAttributes::of(&field.attrs);
        let content = self.type_of(field, &attributes);
        let tokens = attributes.without(&["rename"]).to_tokens();
        quote!(#tokens #content)
    }

    /// The mirror's type of a field.
    fn type_of(&mut self, field: &Field, attributes: &SerdeAttributes) -> TokenStream {
        let described = attributes.tells_schemars(&["with", "schema_with"]);
        let opaque = attributes.says(&[
            "with",
            "serialize_with",
            "deserialize_with",
            "skip",
            "skip_deserializing",
        ]);
        if described || opaque {
            self.anything()
        } else {
            self.parameter_for(&field.ty)
        }
    }

    /// The mark of a field that may be absent, or that is to be found out about at run time.
    fn mark(
        &self,
        field: &Field,
        attributes: &SerdeAttributes,
        place: Place,
        around: Around,
    ) -> Option<TokenStream> {
        let probe = &self.probe;
        if place == Place::Alone || attributes.says(&["flatten", "skip", "skip_deserializing"]) {
            return None;
        }
        if around.has_default
            || attributes.says(&["default"])
            || (place == Place::Named && attributes.says(&["alias"]))
        {
            return Some(quote!(#[schemars(transform = #probe::mark)]));
        }
        // A function of the user's is not called for an absent field: it is refused.
        let read_by_function = attributes.tells_serde(&["with", "deserialize_with"]);
        if place == Place::Positional
            || read_by_function
            || attributes.tells_schemars(&["required"])
        {
            return None;
        }
        let read_as = without_self(field.ty.to_token_stream(), &self.task);
        Some(quote!(#[schemars(transform = #probe::Type::<#read_as>::NEW.mark())]))
    }
}

/// serde's own rule for the field that a transparent struct is read through.
pub(super) fn carries_transparent(field: &Field) -> bool {
    let is_phantom = match &field.ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "PhantomData"),
        _ => false,
    };
    !is_phantom
        && !SerdeAttributes::of(&field.attrs).says(&["skip", "skip_deserializing", "default"])
}

/// The type with `Self` by its name, because within the mirror `Self` is the mirror.
fn without_self(tokens: TokenStream, task: &Ident) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => TokenTree::Ident(task.clone()),
        TokenTree::Group(group) => {
            let inner = without_self(group.stream(), task);
            TokenTree::Group(Group::new(group.delimiter(), inner))
        }
        other => other,
    };
    tokens.into_iter().map(replace).collect()
}
