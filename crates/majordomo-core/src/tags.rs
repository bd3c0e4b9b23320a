//! Tags: short labels that jobs and tasks are grouped and found by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A set of tags, trimmed, in lower case, without doubles or empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Tags(BTreeSet<String>);

impl Tags {
    /// No tags.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// The same tags and one more.
    #[must_use]
    pub fn with(mut self, tag: &str) -> Self {
        self.extend([tag]);
        self
    }

    /// The tags in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every tag of `other` is among these.
    #[must_use]
    pub fn contain_all(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }
}

impl<S: AsRef<str>> Extend<S> for Tags {
    fn extend<I: IntoIterator<Item = S>>(&mut self, tags: I) {
        let tags = tags
            .into_iter()
            .map(|tag| tag.as_ref().trim().to_lowercase());
        self.0.extend(tags.filter(|tag| !tag.is_empty()));
    }
}

impl<S: AsRef<str>> FromIterator<S> for Tags {
    fn from_iter<I: IntoIterator<Item = S>>(tags: I) -> Self {
        let mut all = Self::none();
        all.extend(tags);
        all
    }
}

impl From<Vec<String>> for Tags {
    fn from(tags: Vec<String>) -> Self {
        tags.into_iter().collect()
    }
}

impl From<Tags> for Vec<String> {
    fn from(tags: Tags) -> Self {
        tags.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_trimmed_folded_and_deduplicated() {
        let tags: Tags = [" Email", "email ", "URGENT", ""].into_iter().collect();
        assert_eq!(tags.iter().collect::<Vec<_>>(), ["email", "urgent"]);
        assert!(tags.contain_all(&Tags::none().with("EMAIL")));
        assert_eq!(
            serde_json::from_str::<Tags>(r#"["B","a","b"]"#).unwrap(),
            Tags::from_iter(["a", "b"])
        );
    }
}
