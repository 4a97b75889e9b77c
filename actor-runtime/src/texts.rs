//! Cutting texts that others wrote, between characters.

/// As much of the beginning as fits.
pub(crate) fn start_of(text: &str, bytes: usize) -> &str {
    let cut = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..cut.unwrap_or(0)]
}

/// As much of the end as fits.
pub(crate) fn end_of(text: &str, bytes: usize) -> &str {
    let cut = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[cut.unwrap_or(text.len())..]
}

#[cfg(all(test, not(actor_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!((start_of("äxä", 4), end_of("äxä", 4)), ("äx", "xä"));
        assert_eq!((start_of("äxä", 5), end_of("äxä", 9)), ("äxä", "äxä"));
        assert_eq!((start_of("ä", 1), end_of("ä", 1)), ("", ""));
        assert_eq!((start_of("", 0), end_of("", 0)), ("", ""));
    }
}
