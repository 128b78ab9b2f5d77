//! Entity tags (RFC 9110 8.8.3) and the condition of a client that has a copy (13.1.2).

/// True when an `If-None-Match` names what `etag` stands for: the client's copy is good. `etag` is
/// without its quotes, and empty for what has none.
///
/// The comparison is weak, as RFC 9110 13.1.2 wants it: `W/"x"` and `"x"` are the same. What is no
/// entity tag ends the list.
pub(super) fn is_none_match(field: &str, etag: &str) -> bool {
    let mut rest = field.trim_ascii();
    if rest == "*" {
        return true;
    }
    loop {
        let tag = rest.strip_prefix("W/").unwrap_or(rest);
        let Some((tag, behind)) = tag.strip_prefix('"').and_then(|tag| tag.split_once('"')) else {
            return false;
        };
        if tag == etag && !etag.is_empty() {
            return true;
        }
        rest = behind.trim_ascii_start().trim_start_matches([',', ' ', '\t']);
    }
}

/// True when an `If-Range` names this very representation (RFC 9110 13.1.5). A date never does:
/// nothing here says when it was made.
pub(super) fn is_strong_match(field: &str, etag: &str) -> bool {
    let tag = field.trim_ascii().strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    !etag.is_empty() && tag == Some(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_good_when_the_list_names_its_tag_weakly_or_strongly() {
        for field in [
            "\"a\"",
            "W/\"a\"",
            " W/\"a\" ",
            "\"b\", \"a\"",
            "\"b\",W/\"a\"",
            "\"x,y\" ,\"a\"",
            "\"b\", , \"a\"",
            "*",
        ] {
            assert!(is_none_match(field, "a"), "{field}");
        }
        for field in
            ["", "a", "\"b\"", "\"A\"", "\"aa\"", "w/\"a\"", "W/ \"a\"", "\"a", "b, \"a\"", "\"\""]
        {
            assert!(!is_none_match(field, "a"), "{field}");
        }
    }

    #[test]
    fn what_has_no_tag_is_only_met_by_the_star() {
        assert!(!is_none_match("\"\"", "") && !is_none_match("", ""));
        assert!(is_none_match("*", ""));
        assert!(!is_strong_match("\"\"", ""));
    }

    #[test]
    fn a_range_is_bound_to_a_strong_tag_alone() {
        assert!(is_strong_match("\"a\"", "a"));
        for field in ["W/\"a\"", "a", "*", "\"b\"", "\"a\", \"b\"", "Sun, 06 Nov 1994 08:49:37 GMT"]
        {
            assert!(!is_strong_match(field, "a"), "{field}");
        }
    }
}
