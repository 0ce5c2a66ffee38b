use super::{complement, read};

/// Whether the text matches all patterns, in the library's dialect.
fn matches(patterns: &[String], text: &str) -> bool {
    patterns.iter().all(|pattern| {
        let mut builder = llguidance::derivre::RegexBuilder::new();
        let pattern = llguidance::regex_to_lark(pattern, "dw");
        let expression = builder.mk_regex_for_serach(&pattern).unwrap();
        builder.to_regex_limited(expression, 100_000).unwrap().is_match(text)
    })
}

fn check(pattern: &str, good: &[&str], bad: &[&str]) {
    let read = read(pattern);
    assert_eq!(read.dropped, Vec::<String>::new(), "{pattern}");
    good.iter()
        .for_each(|text| assert!(matches(&read.patterns, text), "{pattern} {text:?} {:?}", read.patterns));
    bad.iter()
        .for_each(|text| assert!(!matches(&read.patterns, text), "{pattern} {text:?} {:?}", read.patterns));
}

#[test]
fn plain_patterns_are_not_touched() {
    for pattern in
        ["^a+$", "a", "^[a-z]{2,3}\\d*$", "a|b", "\\p{L}+", "\\u{e9}", "(?<year>\\d{4})", "[\\]x]", "a/b\\/c"]
    {
        assert_eq!(read(pattern).patterns, [pattern]);
    }
}

#[test]
fn look_aheads_at_the_start_are_patterns_of_their_own() {
    check(
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        &["1", "-1.5", "+.5", "007"],
        &["", "-", "+.", ".", "x", "1.5.2"],
    );
    check(r"^(?=.*[A-Z])(?=.*\d).{4,}$", &["Abc1", "1Abc"], &["abc1", "Abcd", "A1"]);
    check(r"^(?!foo|bar)\w+$", &["fo", "baz", "xfoo"], &["foo", "foobar", "bar"]);
    check(r"^(?!(?:foo|bar)$)\w+$", &["fo", "foobar", "baz"], &["foo", "bar"]);
    check(r"^(?!.*\.\.)[a-z.]+$", &["a.b.c", ".a."], &["a..b", ".."]);
    check(r"^(?!.*--)[a-z-]+$", &["a-b", "-"], &["a--b"]);
    check(r"^(?!.*\s).+$", &["ab"], &["a b", ""]);
    check(r"^(?!0)\d+$", &["10", "9"], &["01", "0"]);
    check(r"^(?!\d+$)\w+$", &["a1", "1a"], &["12"]);
}

#[test]
fn anchors_in_alternatives_move_to_the_ends() {
    check(r"^$|^\S+@\S+$", &["", "a@b"], &["a", "a@b c"]);
    check(r"(^a$)|b", &["a", "b", "xby"], &["ac", "xa"]);
    check(r"^(a|b$)", &["a", "ax", "b"], &["bx", "xa"]);
    check(r"(?:^|,)x", &["x", "a,x", "xy"], &["ax"]);
    check(r"x(?:,|$)", &["x", "ax", "x,b"], &["xb"]);
    check(r"\Aab\Z", &["ab"], &["abc", "xab"]);
}

#[test]
fn other_dialects_are_read() {
    check(r"^a{$", &["a{"], &["a"]);
    check(r"^{{x}}$", &["{{x}}"], &["x"]);
    check(r"^[[]x$", &["[x"], &["x"]);
    check(r"^[a&&b]$", &["a", "&"], &["c"]);
    check(r"^[^]$", &["a", "\n"], &["", "ab"]);
    check(r"^a\-\é$", &["a-é"], &["a"]);
    check(r"^[\w.]+?$", &["a.b"], &["a b"]);
}

#[test]
fn what_cannot_be_said_is_taken_out() {
    for (pattern, good, bad) in [
        (r"^a(?!b)c$", "ac", "abc"),
        (r"^(?<=x)a$", "a", "b"),
        (r"\bfoo\b", "foo", "bar"),
        (r"^(?!a.*b.*c)[a-z]+$", "abc", "1"),
        (r"^(?!foo|bar$)[a-z]+$", "foo", "1"),
        (r"a(?=b)b|c", "ab", "d"),
    ] {
        let read = read(pattern);
        assert!(!read.dropped.is_empty(), "{pattern}");
        assert!(matches(&read.patterns, good), "{pattern} {read:?}");
        assert!(!matches(&read.patterns, bad), "{pattern} {read:?}");
    }
    let back = read(r"^(a|b)\1$");
    assert!(back.patterns.is_empty() && back.dropped.len() == 1);
    assert_eq!(read("[").patterns.len(), 1, "the library says what is wrong with it");
}

#[test]
fn a_complement_is_all_other_texts() {
    for (pattern, inside, outside) in [
        ("^[a-z]*$", "ab", "aB"),
        ("^(a|b)$", "a", "ab"),
        ("^http", "http://", "ftp"),
        (r"\d", "a1", "a"),
        ("^[a-z]+$", "ab", ""),
    ] {
        let other = [complement(pattern).unwrap()];
        assert!(!matches(&other, inside) && matches(&other, outside), "{pattern} {other:?}");
    }
    for pattern in ["^a.b$", "^a|b$", "a|b"] {
        assert_eq!(complement(pattern), None, "{pattern}");
    }
}
