//! The `#[serde(..)]` and `#[schemars(..)]` attributes of a payload: what they
//! say about its JSON, and which of them its mirror can carry.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, LitStr, Meta};

/// One `key`, `key = value` or `key(..)` of such an attribute.
struct Item {
    /// schemars' `!key`, which takes back what serde says.
    taken_back: bool,
    key: String,
    tokens: Vec<TokenTree>,
}

/// The attributes of one container, variant or field.
pub(crate) struct SerdeAttributes {
    serde: Vec<Item>,
    schemars: Vec<Item>,
    /// Doc comments and `#[deprecated]`, which schemars reads too.
    plain: Vec<Attribute>,
}

/// What serde says and a mirror keeps; everything else changes how values are
/// read or written and not which names and shapes they have, or is asked for by
/// [`SerdeAttributes::says`] and rebuilt by the mirror.
const KEPT_OF_SERDE: &[&str] = &[
    "rename",
    "rename_all",
    "rename_all_fields",
    "deny_unknown_fields",
    "tag",
    "content",
    "untagged",
    "flatten",
    "skip",
    "skip_serializing",
    "skip_deserializing",
];

/// What schemars is told and a mirror drops: it says these itself, or can't
/// compile them because its fields have other types.
const DROPPED_OF_SCHEMARS: &[&str] = &[
    "crate",
    "bound",
    "default",
    "skip_serializing_if",
    "from",
    "try_from",
    "into",
    "remote",
    "transparent",
];

impl SerdeAttributes {
    pub(crate) fn of(attributes: &[Attribute]) -> Self {
        let kept = |attribute: &&Attribute| {
            let is_doc =
                attribute.path().is_ident("doc") && matches!(attribute.meta, Meta::NameValue(_));
            is_doc || attribute.path().is_ident("deprecated")
        };
        Self {
            serde: items(attributes, "serde"),
            schemars: items(attributes, "schemars"),
            plain: attributes.iter().filter(kept).cloned().collect(),
        }
    }

    /// Whether any of the keys is said, to serde or to schemars, and not taken back.
    pub(crate) fn says(&self, keys: &[&str]) -> bool {
        self.find(keys).is_some()
    }

    /// Whether schemars alone is told one of the keys.
    pub(crate) fn tells_schemars(&self, keys: &[&str]) -> bool {
        self.schemars
            .iter()
            .any(|item| !item.taken_back && keys.contains(&item.key.as_str()))
    }

    /// Whether serde is told one of the keys, whatever schemars makes of it.
    pub(crate) fn tells_serde(&self, keys: &[&str]) -> bool {
        self.serde
            .iter()
            .any(|item| keys.contains(&item.key.as_str()))
    }

    /// The quoted value of the first of the keys.
    pub(crate) fn quoted(&self, keys: &[&str]) -> Option<LitStr> {
        self.find(keys).and_then(Item::quoted)
    }

    /// The quoted values of a key that may be repeated.
    pub(crate) fn all_quoted(&self, key: &str) -> Vec<LitStr> {
        self.serde
            .iter()
            .filter(|item| item.key == key)
            .filter_map(Item::quoted)
            .collect()
    }

    /// The same without a key.
    pub(crate) fn without(mut self, keys: &[&str]) -> Self {
        for items in [&mut self.serde, &mut self.schemars] {
            items.retain(|item| !keys.contains(&item.key.as_str()));
        }
        self
    }

    /// Those that a mirror can carry.
    pub(crate) fn to_tokens(&self) -> TokenStream {
        let plain = &self.plain;
        let serde = self
            .serde
            .iter()
            .filter(|item| KEPT_OF_SERDE.contains(&item.key.as_str()));
        let serde: Vec<_> = serde.map(Item::to_tokens).collect();
        let schemars = self.schemars.iter().filter(|item| {
            let known = if item.taken_back {
                KEPT_OF_SERDE.contains(&item.key.as_str())
            } else {
                true
            };
            known && !DROPPED_OF_SCHEMARS.contains(&item.key.as_str())
        });
        let schemars: Vec<_> = schemars.map(Item::to_tokens).collect();
        let serde = (!serde.is_empty()).then(|| quote!(#[serde(#(#serde),*)]));
        let schemars = (!schemars.is_empty()).then(|| quote!(#[schemars(#(#schemars),*)]));
        quote!(#(#plain)* #serde #schemars)
    }

    fn find(&self, keys: &[&str]) -> Option<&Item> {
        let taken_back = |key: &str| {
            self.schemars
                .iter()
                .any(|item| item.taken_back && item.key == key)
        };
        let said = |item: &&Item| {
            !item.taken_back && keys.contains(&item.key.as_str()) && !taken_back(&item.key)
        };
        self.schemars
            .iter()
            .find(said)
            .or_else(|| self.serde.iter().find(said))
    }
}

impl Item {
    fn to_tokens(&self) -> TokenStream {
        self.tokens.iter().cloned().collect()
    }

    /// `".."` of `key = ".."`, or of `key(deserialize = "..")`, because a schema tells what is read.
    fn quoted(&self) -> Option<LitStr> {
        match self.tokens.as_slice() {
            [.., TokenTree::Group(group)] => {
                let inner = split(group.stream());
                inner
                    .iter()
                    .find(|item| item.key == "deserialize")
                    .and_then(Self::quoted)
            }
            [.., literal @ TokenTree::Literal(_)] => syn::parse2(literal.clone().into()).ok(),
            _ => None,
        }
    }
}

fn items(attributes: &[Attribute], name: &str) -> Vec<Item> {
    let lists = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident(name));
    let tokens = lists.filter_map(|attribute| {
        attribute
            .meta
            .require_list()
            .ok()
            .map(|list| list.tokens.clone())
    });
    tokens.flat_map(split).collect()
}

/// Cuts at commas. A comma between the arguments of a generic function cuts too
/// much; the halves meet again when they are written side by side.
fn split(tokens: TokenStream) -> Vec<Item> {
    let mut pieces: Vec<Vec<TokenTree>> = vec![Vec::new()];
    for token in tokens {
        match (&token, pieces.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => pieces.push(Vec::new()),
            (_, Some(piece)) => piece.push(token),
            (_, None) => {}
        }
    }
    let filled = pieces.into_iter().filter(|piece| !piece.is_empty());
    filled
        .map(|tokens| {
            let taken_back =
                matches!(&tokens[0], TokenTree::Punct(punct) if punct.as_char() == '!');
            let key = tokens
                .get(usize::from(taken_back))
                .map(ToString::to_string)
                .unwrap_or_default();
            Item {
                taken_back,
                key,
                tokens,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn of(attribute: Attribute) -> SerdeAttributes {
        SerdeAttributes::of(&[attribute])
    }

    #[test]
    fn what_changes_only_how_values_are_read_is_not_carried() {
        let attributes =
            of(parse_quote!(#[serde(rename = "a", default, with = "module", flatten)]));
        assert_eq!(
            attributes.to_tokens().to_string(),
            quote!(#[serde(rename = "a", flatten)]).to_string()
        );
        assert!(attributes.says(&["default"]) && attributes.says(&["serialize_with", "with"]));
        assert!(!attributes.says(&["alias"]));
    }

    #[test]
    fn what_schemars_takes_back_is_not_said() {
        let attributes = SerdeAttributes::of(&[
            parse_quote!(#[serde(with = "m")]),
            parse_quote!(#[schemars(!with)]),
        ]);
        assert!(!attributes.says(&["with"]));
        assert!(attributes.to_tokens().is_empty());
    }

    #[test]
    fn quoted_values_are_found_in_both_forms() {
        let attributes = of(
            parse_quote!(#[serde(alias = "a", alias = "b", rename(serialize = "c", deserialize = "d"))]),
        );
        let values = |literals: Vec<LitStr>| literals.iter().map(LitStr::value).collect::<Vec<_>>();
        assert_eq!(values(attributes.all_quoted("alias")), ["a", "b"]);
        assert_eq!(attributes.quoted(&["rename"]).unwrap().value(), "d");
    }

    #[test]
    fn the_arguments_of_a_generic_function_stay_together() {
        let attributes = of(parse_quote!(#[schemars(transform = f::<A, B>, with = "C")]));
        let carried = attributes.to_tokens().to_string();
        assert_eq!(
            carried,
            quote!(#[schemars(transform = f::<A, B>, with = "C")]).to_string()
        );
    }
}
