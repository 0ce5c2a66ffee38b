//! Python's `strftime` in the C locale, for `strftime_now`.

use time::OffsetDateTime;

/// Formats a time. Directives that Python does not know are kept as written.
pub(super) fn format(now: &OffsetDateTime, pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            // glibc: `-` suppresses padding.
            Some('-') => match chars.next() {
                Some(directive) => {
                    let padded = expand(now, directive);
                    let bare = padded.trim_start_matches(['0', ' ']);
                    out.push_str(if bare.is_empty() && !padded.is_empty() { "0" } else { bare });
                }
                None => out.push_str("%-"),
            },
            Some(directive) => out.push_str(&expand(now, directive)),
            None => out.push('%'),
        }
    }
    out
}

fn expand(now: &OffsetDateTime, directive: char) -> String {
    let weekday = now.weekday().to_string();
    let month = now.month().to_string();
    let short = |name: &str| name.chars().take(3).collect::<String>();
    let hour12 = (now.hour() + 11) % 12 + 1;
    let days = u32::from(now.ordinal()) - 1;
    let nested = |pattern: &str| format(now, pattern);
    match directive {
        'a' => short(&weekday),
        'A' => weekday,
        'b' | 'h' => short(&month),
        'B' => month,
        'c' => nested("%a %b %e %H:%M:%S %Y"),
        'C' => format!("{:02}", now.year() / 100),
        'd' => format!("{:02}", now.day()),
        'D' | 'x' => nested("%m/%d/%y"),
        'e' => format!("{:2}", now.day()),
        'f' => format!("{:06}", now.microsecond()),
        'F' => nested("%Y-%m-%d"),
        'G' => now.to_iso_week_date().0.to_string(),
        'H' => format!("{:02}", now.hour()),
        'I' => format!("{hour12:02}"),
        'j' => format!("{:03}", now.ordinal()),
        'm' => format!("{:02}", u8::from(now.month())),
        'M' => format!("{:02}", now.minute()),
        'n' => "\n".to_owned(),
        'p' => if now.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        'r' => nested("%I:%M:%S %p"),
        'R' => nested("%H:%M"),
        's' => now.unix_timestamp().to_string(),
        'S' => format!("{:02}", now.second()),
        't' => "\t".to_owned(),
        'T' | 'X' => nested("%H:%M:%S"),
        'u' => now.weekday().number_from_monday().to_string(),
        'U' => format!("{:02}", (days + 7 - u32::from(now.weekday().number_days_from_sunday())) / 7),
        'V' => format!("{:02}", now.iso_week()),
        'w' => now.weekday().number_days_from_sunday().to_string(),
        'W' => format!("{:02}", (days + 7 - u32::from(now.weekday().number_days_from_monday())) / 7),
        'y' => format!("{:02}", now.year().rem_euclid(100)),
        'Y' => now.year().to_string(),
        // Like Python's `datetime.now()`, the time is naive and has neither offset nor zone name.
        'z' | 'Z' => String::new(),
        '%' => "%".to_owned(),
        other => format!("%{other}"),
    }
}
