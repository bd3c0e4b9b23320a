//! The name of a task that was not given one: its type's, in kebab case.

/// `SendWelcome` as `send-welcome`, and `HTTPCall` as `http-call`: a run of
/// capitals is one word, whose last capital begins the next word if a small
/// letter follows it. Underscores part words too; digits stay with the word before.
pub(crate) fn kebab(type_name: &str) -> String {
    let letters: Vec<char> = type_name.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        if letter == '_' {
            part(&mut name);
            continue;
        }
        let before = index.checked_sub(1).map(|index| letters[index]);
        let after = letters.get(index + 1);
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if begins_word {
            part(&mut name);
        }
        name.extend(letter.to_lowercase());
    }
    name.trim_end_matches('-').to_owned()
}

fn part(name: &mut String) {
    if !name.is_empty() && !name.ends_with('-') {
        name.push('-');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_like_the_type() {
        let table = [
            ("SendWelcome", "send-welcome"),
            ("HTTPCall", "http-call"),
            ("CallHTTP", "call-http"),
            ("ParseURLList", "parse-url-list"),
            ("S3Upload", "s3-upload"),
            ("Sha256Sum", "sha256-sum"),
            ("SHA256Sum", "sha256-sum"),
            ("A", "a"),
            ("APlan", "a-plan"),
            ("send_welcome", "send-welcome"),
            ("_Hidden__Task_", "hidden-task"),
            ("Überweisung", "überweisung"),
            ("__", ""),
        ];
        for (type_name, name) in table {
            assert_eq!(kebab(type_name), name, "{type_name}");
        }
    }
}
