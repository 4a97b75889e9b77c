//! The two things in a certificate that webpki keeps to itself: IP addresses among the alternative names, and the
//! common name. Reads certificates that webpki has read before; what it does not understand it leaves out.

use std::net::IpAddr;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
/// `[3]` in a certificate: its extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[7]` in the alternative names: an IP address.
const IP_ADDRESS: u8 = 0x87;
const SUBJECT_ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The IP addresses among the alternative names of a certificate.
pub(super) fn addresses(certificate: &[u8]) -> Vec<IpAddr> {
    alternative_names(certificate)
        .into_iter()
        .flat_map(Elements)
        .filter_map(|(tag, value)| match tag {
            IP_ADDRESS => <[u8; 4]>::try_from(value)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from))
                .ok(),
            _ => None,
        })
        .collect()
}

/// The common name, if the subject has nothing else.
pub(super) fn common_name(subject: &[u8]) -> Option<&str> {
    let mut parts = Elements(subject);
    let (SET, part) = parts.next()? else { return None };
    let mut attribute = Elements(inside(SEQUENCE, part)?);
    let named = attribute.next()? == (OBJECT_IDENTIFIER, COMMON_NAME.as_slice());
    let (UTF8_STRING, name) = attribute.next()? else { return None };
    (named && parts.next().is_none()).then(|| std::str::from_utf8(name).ok())?
}

fn alternative_names(certificate: &[u8]) -> Option<&[u8]> {
    let signed = inside(SEQUENCE, inside(SEQUENCE, certificate)?)?;
    let extensions = Elements(signed).find_map(|(tag, value)| (tag == EXTENSIONS).then_some(value))?;
    Elements(inside(SEQUENCE, extensions)?).find_map(|(_, extension)| {
        let mut fields = Elements(extension);
        let ours = fields.next()? == (OBJECT_IDENTIFIER, SUBJECT_ALTERNATIVE_NAME.as_slice());
        let value = fields.find_map(|(tag, value)| (tag == OCTET_STRING).then_some(value))?;
        if ours { inside(SEQUENCE, value) } else { None }
    })
}

/// What is inside the first element, if that has this tag.
fn inside(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    Elements(bytes).next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
}

/// Tags and values, one after the other, up to the first that is cut off or longer than 64 KiB.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        let (length, rest) = match *bytes.get(1..)? {
            [length @ ..=0x7f, ref rest @ ..] => (usize::from(length), rest),
            [0x81, length, ref rest @ ..] => (usize::from(length), rest),
            [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((bytes[0], value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> Vec<u8> {
        let names = ["a.example", "10.0.0.1", "b.example", "fe80::1"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn addresses_are_read_in_their_order() {
        let expected: Vec<IpAddr> = ["10.0.0.1", "fe80::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(addresses(&certificate()), expected);
    }

    #[test]
    fn a_certificate_that_is_cut_off_has_no_addresses() {
        let whole = certificate();
        assert!((0..whole.len()).all(|end| addresses(&whole[..end]).is_empty()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            addresses(&bytes);
            common_name(&bytes);
        }

        #[test]
        fn no_changed_byte_makes_the_reader_panic(at in 0..400_usize, to in any::<u8>()) {
            let mut bytes = certificate();
            let at = at % bytes.len();
            bytes[at] = to;
            addresses(&bytes);
        }
    }
}
