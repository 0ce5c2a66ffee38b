//! Rules that several rows of [`super::table`] use.

/// Whether an HTTP header can carry this key. No request could ever match another one.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Checks that `file` is given only together with `other`.
pub(super) fn belongs_to(file: Option<&str>, other: Option<&str>, other_flag: &str) -> Result<(), String> {
    let given = |value: Option<&str>| value.is_some_and(|text| !text.is_empty());
    if given(file) && !given(other) {
        return Err(format!("needs --{other_flag} as well"));
    }
    Ok(())
}

/// Checks that a flag for HTTPS is given only if HTTPS is on.
pub(super) fn needs_https(given: bool, certificate: Option<&str>) -> Result<(), String> {
    if given && certificate.is_none_or(str::is_empty) {
        return Err("has no effect without --ssl-keyfile and --ssl-certfile".to_owned());
    }
    Ok(())
}

/// Checks that a prefill step of `size` tokens ends where a page ends, so that the next one starts a new page.
///
/// # Errors
/// What would be valid.
pub fn check_chunk(size: u64, page_size: u64) -> Result<(), String> {
    if size.is_multiple_of(page_size) {
        return Ok(());
    }
    Err(format!("expected a multiple of --page-size {page_size}, or -1"))
}
