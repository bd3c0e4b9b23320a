//! What a task does, in the words of its type's doc comment.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The opening paragraphs of a doc comment, up to the first heading, code block,
/// list or table. The lines of a paragraph are joined by spaces.
pub(crate) fn of(attributes: &[Attribute]) -> Option<String> {
    let text: Vec<String> = attributes.iter().filter_map(line).collect();
    let mut paragraphs = vec![String::new()];
    let text = text.join("\n");
    let opening = text
        .lines()
        .map(str::trim)
        .take_while(|line| !ends_opening(line));
    for line in opening {
        match paragraphs.last_mut() {
            Some(paragraph) if !line.is_empty() => {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(line);
            }
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"))
}

/// The text of `#[doc = "..."]`, which is what `///` becomes.
fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) if pair.path.is_ident("doc") => Some(text.value()),
        _ => None,
    }
}

fn ends_opening(line: &str) -> bool {
    ["#", "```", "~~~", "- ", "* ", "+ ", "1. ", "|"]
        .iter()
        .any(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn the_opening_paragraphs_describe_the_task() {
        let attributes: Vec<Attribute> = vec![
            parse_quote!(#[doc = " Sends the mail,"]),
            parse_quote!(#[doc = " once."]),
            parse_quote!(#[serde(default)]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[doc = " Slow."]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[doc = " # Errors"]),
            parse_quote!(#[doc = " If the mailer is down."]),
        ];
        assert_eq!(of(&attributes).unwrap(), "Sends the mail, once.\n\nSlow.");
    }

    #[test]
    fn a_block_comment_is_read_alike_and_none_is_none() {
        let block: Attribute = parse_quote!(#[doc = "\n Sends the mail.\n\n Slow.\n"]);
        assert_eq!(of(&[block]).unwrap(), "Sends the mail.\n\nSlow.");
        assert_eq!(
            of(&[parse_quote!(#[doc(hidden)]), parse_quote!(#[doc = ""])]),
            None
        );
    }
}
