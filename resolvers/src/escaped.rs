/// A text as a value in a query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().fold(String::new(), |mut all, byte| {
        if plain(byte) {
            all.push(char::from(byte));
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_made_up_is_escaped() {
        assert_eq!(escaped("eyJ2Ijoib=+/&x-1_.~ ä"), "eyJ2Ijoib%3D%2B%2F%26x-1_.~%20%C3%A4");
    }
}
