//! Rules that several rows of [`super::table`] use.

/// Whether a header can carry this as a key. No request could ever bring another one.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Two files that belong together: neither works without the other.
pub(super) fn belongs_to(file: Option<&str>, other: Option<&str>, other_flag: &str) -> Result<(), String> {
    let given = |value: Option<&str>| value.is_some_and(|text| !text.is_empty());
    if given(file) && !given(other) {
        return Err(format!("needs --{other_flag} as well"));
    }
    Ok(())
}

/// A flag for HTTPS, which needs the files that turn HTTPS on.
pub(super) fn needs_https(given: bool, certificate: Option<&str>) -> Result<(), String> {
    if given && certificate.is_none_or(str::is_empty) {
        return Err("has no effect without --ssl-keyfile and --ssl-certfile".to_owned());
    }
    Ok(())
}

/// A prefill step ends where a page ends, so that the next one starts with a page of its own.
///
/// # Errors
/// What would be valid.
pub fn check_chunk(size: u64, page_size: u64) -> Result<(), String> {
    if size.is_multiple_of(page_size) {
        return Ok(());
    }
    Err(format!("expected a multiple of --page-size {page_size}, or -1"))
}
