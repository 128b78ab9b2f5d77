//! How a body is coded on its way (RFC 9110 8.4), and which codings a client takes (12.5.3).

/// How a response's body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it is, for every client: media. Parts of it can be asked for.
    Fixed,
    /// As it is, for this client; another one gets it by gzip.
    Identity,
    /// By gzip (RFC 1952), as this client takes it; another one gets it as it is.
    Gzip,
}

/// True when an `Accept-Encoding` lets gzip be used: by name, or by `*` where no name is.
pub(super) fn accepts_gzip(field: &[u8]) -> bool {
    let mut by_star = false;
    for item in field.split(|byte| *byte == b',') {
        let end = item.iter().position(|byte| *byte == b';').unwrap_or(item.len());
        let (coding, parameters) = item.split_at(end);
        let coding = coding.trim_ascii();
        if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            return !is_refused(parameters);
        }
        by_star |= coding == b"*" && !is_refused(parameters);
    }
    by_star
}

/// True for a weight of zero: `;q=0`, `; Q=0.000` (RFC 9110 12.4.2).
fn is_refused(parameters: &[u8]) -> bool {
    let weight = parameters.split(|byte| *byte == b';').find_map(|parameter| {
        parameter.trim_ascii().strip_prefix(b"q=").or(parameter.trim_ascii().strip_prefix(b"Q="))
    });
    weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_named_or_anything_goes() {
        for field in [
            "gzip",
            "gzip, deflate",
            "deflate, GZIP",
            "x-gzip",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "gzip; q=0.001",
            "gzip;q=1",
            "*",
            "br;q=0, *;q=0.5",
            "identity;q=0,gzip",
            "*;q=0, gzip",
        ] {
            assert!(accepts_gzip(field.as_bytes()), "{field}");
        }
    }

    #[test]
    fn a_client_that_does_not_name_it_or_refuses_it_gets_no_gzip() {
        for field in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip; q=0.000",
            "gzip ;Q=0.0",
            "gzip;q=0, *",
            "*;q=0",
            "agzip",
            "gzipx",
            "gz ip",
            "deflate;x=gzip",
        ] {
            assert!(!accepts_gzip(field.as_bytes()), "{field}");
        }
    }
}
