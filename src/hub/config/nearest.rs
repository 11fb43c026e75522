//! The name that was probably meant.

/// Says which of the known names was probably meant, or names them all if none is near.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known) {
        return format!("did you mean `{near}`?");
    }
    match known {
        [] => "nothing is allowed here".to_owned(),
        known => {
            format!("allowed: {}", known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The longest name that is compared. The comparison takes memory for each pair of characters.
const LONGEST: usize = 128;

/// The nearest of the known names, if one is near enough.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let scored = known.iter().map(|&key| (strsim::damerau_levenshtein(&name, key), key));
    let (distance, key) = scored.min_by_key(|&(distance, _)| distance)?;
    let contains =
        || known.iter().copied().find(|key| name.len() >= 4 && (key.contains(&name) || name.contains(key)));
    if distance <= key.len().max(name.len()) / 3 { Some(key) } else { contains() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["failure_rate", "minimum_calls", "window"];
        assert_eq!(nearest("failure_rat", &known), Some("failure_rate"));
        assert_eq!(nearest("failure-rate", &known), Some("failure_rate"));
        assert_eq!(nearest("calls", &known), Some("minimum_calls"));
        assert_eq!(nearest("wnidow", &known), Some("window"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"failure_rate".repeat(100_000), &known), None);
        assert_eq!(hint("x", &["a", "bcd"]), "allowed: `a`, `bcd`");
        assert_eq!(hint("x", &[]), "nothing is allowed here");
    }
}
