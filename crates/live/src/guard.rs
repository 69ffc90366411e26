//! Who is answered, and with which headers.
//!
//! The dashboard has no password, so a page of somebody else that runs in the operator's browser must not read it. Other
//! origins cannot read answers (no CORS header is sent); a name of theirs that they point at this machine (DNS rebinding) is
//! refused by the `Host` header, which then holds that name: an address in figures and `localhost` cannot be pointed
//! elsewhere.
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sottovoce_types::Digest;

use crate::page::{SCRIPT, style};

/// Refuses other methods and foreign hosts, and puts the headers on every answer.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = if request.method() != Method::GET {
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")], "this page is read-only: GET alone\n").into_response()
    } else if request.headers().get(HOST).is_some_and(is_own_host) {
        next.run(request).await
    } else {
        let mend =
            "ask for it by its address or as localhost: other host names are refused, for they could be anybody's\n";
        (StatusCode::MISDIRECTED_REQUEST, mend).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy());
    response
}

/// `localhost` or an address in figures, with or without a port.
fn is_own_host(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let port_follows =
        |rest: &str| rest.strip_prefix(':').is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':') && port_follows(rest));
    }
    let (name, rest) = host.find(':').map_or((host, ""), |at| host.split_at(at));
    (name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()) && port_follows(rest)
}

/// Nothing is loaded, and only the page's own script and style run, by their hashes.
fn policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = POLICY.get_or_init(|| {
        let hash = |text: &str| base64(&Digest::of(text.as_bytes()).0);
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(style())
        );
        HeaderValue::from_str(&policy).expect("letters, digits and marks of ASCII")
    });
    policy.clone()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for i in 0..4usize {
            let sextet = usize::try_from((bits >> (18 - 6 * i)) & 63).expect("below 64");
            out.push(if i <= chunk.len() { char::from(LETTERS[sextet]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn names_that_could_be_pointed_at_this_machine_are_not_its_own() {
        let own = |host: &'static str| is_own_host(&HeaderValue::from_static(host));
        for host in
            ["localhost", "LocalHost:4471", "127.0.0.1", "127.0.0.1:4471", "[::1]:4471", "[::1]", "192.0.2.7:80"]
        {
            assert!(own(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4471",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "127.0.0.1:x",
            "localhost:80:80",
            "[::1",
            "[::1]evil.example",
            "[evil.example]",
            "::1",
            "",
            "user@127.0.0.1",
            "127.1",
            "2130706433",
        ] {
            assert!(!own(host), "{host}");
        }
    }
}
