//! Determines the calling client: the peer, or the client that a trusted proxy names (reference: uvicorn's
//! `ProxyHeadersMiddleware`).

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HOST, HeaderMap, HeaderName, X_FORWARDED_FOR, X_FORWARDED_PROTO};

/// The variable that lists trusted proxies, as in uvicorn.
pub const VARIABLE: &str = "FORWARDED_ALLOW_IPS";

/// A trusted address, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                u32::from(a) ^ u32::from(b) <= u32::MAX.checked_shr(self.prefix).unwrap_or(0)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                u128::from(a) ^ u128::from(b) <= u128::MAX.checked_shr(self.prefix).unwrap_or(0)
            }
            _ => false,
        }
    }
}

/// The proxies whose `X-Forwarded-…` headers are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    everybody: bool,
    networks: Vec<Network>,
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self::read("127.0.0.1")
    }
}

impl TrustedProxies {
    /// Reads a comma-separated list of addresses and networks; `*` trusts everybody.
    pub fn read(text: &str) -> Self {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let networks = parts.iter().filter(|part| **part != "*").filter_map(|part| {
            let network = Network::read(part);
            if network.is_none() {
                tracing::warn!(
                    "{VARIABLE} has {part:?}; an address such as 10.0.0.1 or 10.0.0.0/8 would be valid"
                );
            }
            network
        });
        Self { everybody: parts == ["*"], networks: networks.collect() }
    }

    /// The proxies in [`VARIABLE`]; 127.0.0.1 if it is not set.
    pub fn from_env() -> Self {
        std::env::var(VARIABLE).map_or_else(|_| Self::default(), |text| Self::read(&text))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 addresses in IPv6 form.
        let address = address.to_canonical();
        self.everybody || self.networks.iter().any(|network| network.contains(address))
    }

    /// The client for the log: the peer, or the last address in `X-Forwarded-For` that is not a trusted proxy.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> String {
        let Some(peer) = peer else { return String::new() };
        let named = self.header(peer, headers, &X_FORWARDED_FOR).and_then(|list| self.named(list));
        // Its port is not known.
        named.map_or_else(|| peer.to_string(), |host| format!("{host}:0"))
    }

    fn named<'a>(&self, list: &'a str) -> Option<&'a str> {
        let mut hosts = list.split(',').map(str::trim);
        let first = hosts.clone().next();
        let named = match self.everybody {
            true => first,
            false => hosts.rfind(|host| host.parse().map_or(true, |address| !self.trusts(address))).or(first),
        };
        // Anything that cannot be an address or a name must not reach the log.
        named.filter(|host| {
            let is_fine = |b: u8| b.is_ascii_alphanumeric() || b".:-_[]%".contains(&b);
            (1..=64).contains(&host.len()) && host.bytes().all(is_fine)
        })
    }

    /// Whether the client used HTTPS; `is_tls` says so for the peer.
    pub fn scheme(&self, peer: Option<SocketAddr>, headers: &HeaderMap, is_tls: bool) -> &'static str {
        match peer.and_then(|peer| self.header(peer, headers, &X_FORWARDED_PROTO)).map(str::trim) {
            Some("https") => "https",
            Some("http") => "http",
            _ if is_tls => "https",
            _ => "http",
        }
    }

    /// The last header of this name, if the peer is trusted.
    fn header<'a>(&self, peer: SocketAddr, headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
        let last = headers.get_all(name).last().filter(|_| self.trusts(peer.ip()));
        last.and_then(|value| value.to_str().ok())
    }
}

/// The host of a call: from its header, or in HTTP/2 from its target.
pub fn host<'a>(headers: &'a HeaderMap, uri: &'a actix_web::http::Uri) -> Option<&'a str> {
    let header = headers.get(HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        TrustedProxies::read(proxies).client(Some(peer.parse().unwrap()), &headers)
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_is_the_client_as_in_uvicorn() {
        let local = "127.0.0.1:5";
        for (proxies, peer, forwarded, expected) in [
            ("127.0.0.1", local, &["1.2.3.4"][..], "1.2.3.4:0"),
            ("127.0.0.1", local, &["9.9.9.9, 1.2.3.4"], "1.2.3.4:0"),
            ("127.0.0.1", local, &["1.2.3.4, 127.0.0.1"], "1.2.3.4:0"),
            ("127.0.0.1", local, &["127.0.0.1"], "127.0.0.1:0"),
            ("127.0.0.1", local, &["1.1.1.1", "2.2.2.2"], "2.2.2.2:0"),
            ("127.0.0.1", local, &["::1"], "::1:0"),
            ("127.0.0.1", local, &["some.host"], "some.host:0"),
            ("127.0.0.1", local, &[""], local),
            ("127.0.0.1", local, &["a\" 200 OK"], local),
            ("127.0.0.1", local, &[], local),
            ("127.0.0.1", "10.0.0.1:5", &["1.2.3.4"], "10.0.0.1:5"),
            ("127.0.0.1", "[::1]:5", &["1.2.3.4"], "[::1]:5"),
            ("127.0.0.1", "[::ffff:127.0.0.1]:5", &["1.2.3.4"], "1.2.3.4:0"),
            ("10.0.0.0/8, ::1", "10.9.9.9:5", &["1.2.3.4, 10.1.1.1"], "1.2.3.4:0"),
            ("10.0.0.0/8, ::1", "[::1]:5", &["1.2.3.4"], "1.2.3.4:0"),
            ("10.0.0.0/8, ::1", "11.0.0.1:5", &["1.2.3.4"], "11.0.0.1:5"),
            ("*", "11.0.0.1:5", &["1.2.3.4, 5.6.7.8"], "1.2.3.4:0"),
            ("", local, &["1.2.3.4"], local),
            ("nonsense, 127.0.0.1/33", local, &["1.2.3.4"], local),
        ] {
            assert_eq!(client(proxies, peer, forwarded), expected, "{proxies} {peer} {forwarded:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_how_it_was_called() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        let scheme =
            |peer: &str| TrustedProxies::default().scheme(Some(peer.parse().unwrap()), &headers, false);
        assert_eq!((scheme("127.0.0.1:5"), scheme("10.0.0.1:5")), ("https", "http"));
        assert_eq!(TrustedProxies::default().scheme(None, &HeaderMap::new(), true), "https");
    }
}
