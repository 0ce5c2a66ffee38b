//! Finds the rules that are regular, and rewrites the simplest kinds of recursion as repetition.

use super::ast::{Expr, Grammar};

/// Finds the rules that can be written as regular expressions: those that use only such rules, and those that only
/// recurse on themselves at one end. The latter are rewritten by Arden's lemma: `x ::= "a" x | "b"` becomes `"a"* "b"`.
pub(super) fn find(grammar: &mut Grammar) -> Vec<bool> {
    let mut regular = vec![false; grammar.rules.len()];
    loop {
        let mut changed = false;
        // Rules are mostly written top-down, so going backwards takes few rounds.
        for index in (0..grammar.rules.len()).rev() {
            if regular.get(index).copied().unwrap_or(true) {
                continue;
            }
            let known = |rule: usize| regular.get(rule).copied().unwrap_or(false);
            let Some(body) = grammar.rules.get(index) else { continue };
            let rewritten = if body.all_rules(&mut |rule| known(rule)) {
                None
            } else if body.all_rules(&mut |rule| rule == index || known(rule)) {
                let Some(unrolled) = unroll(body, index) else { continue };
                Some(unrolled)
            } else {
                continue;
            };
            if let (Some(unrolled), Some(slot)) = (rewritten, grammar.rules.get_mut(index)) {
                *slot = unrolled;
            }
            if let Some(flag) = regular.get_mut(index) {
                *flag = true;
                changed = true;
            }
        }
        if !changed {
            return regular;
        }
    }
}

/// Solves `x = A x | B` or `x = x A | B` for `x`.
fn unroll(body: &Expr, x: usize) -> Option<Expr> {
    let solve = |right: bool| -> Option<Expr> {
        let Linear { with, without } = linear(body, x, right)?;
        let star = Expr::Repeat { inner: Box::new(with?), min: 0, max: None };
        let base = without?;
        Some(if right { Expr::seq([star, base]) } else { Expr::seq([base, star]) })
    };
    solve(true).or_else(|| solve(false))
}

/// An expression split into `with x | without` (or `x with | without`); `None` stands for the empty language.
struct Linear {
    with: Option<Expr>,
    without: Option<Expr>,
}

fn linear(expr: &Expr, x: usize, right: bool) -> Option<Linear> {
    if expr.all_rules(&mut |rule| rule != x) {
        return Some(Linear { with: None, without: Some(expr.clone()) });
    }
    match expr {
        Expr::Rule(_) => Some(Linear { with: Some(Expr::empty()), without: None }),
        Expr::Alt(options) => {
            let parts = options.iter().map(|o| linear(o, x, right)).collect::<Option<Vec<_>>>()?;
            let (with, without): (Vec<_>, Vec<_>) = parts.into_iter().map(|l| (l.with, l.without)).unzip();
            Some(Linear { with: union(with), without: union(without) })
        }
        Expr::Seq(items) => {
            let (end, rest) = if right { items.split_last()? } else { items.split_first()? };
            if !rest.iter().all(|item| item.all_rules(&mut |rule| rule != x)) {
                return None;
            }
            let around = |end: Expr| {
                let rest = rest.iter().cloned();
                if right { Expr::seq(rest.chain([end])) } else { Expr::seq([end].into_iter().chain(rest)) }
            };
            let end = linear(end, x, right)?;
            Some(Linear { with: end.with.map(&around), without: end.without.map(&around) })
        }
        Expr::Repeat { inner, min: 0, max: Some(1) } => {
            let inner = linear(inner, x, right)?;
            Some(Linear { with: inner.with, without: union(vec![inner.without, Some(Expr::empty())]) })
        }
        _ => None,
    }
}

fn union(options: Vec<Option<Expr>>) -> Option<Expr> {
    let options: Vec<Expr> = options.into_iter().flatten().collect();
    if options.is_empty() { None } else { Some(Expr::alt(options)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebnf::{lexer, parser};

    fn regular(text: &str) -> Vec<bool> {
        find(&mut parser::parse(lexer::lex(text).unwrap()).unwrap())
    }

    #[test]
    fn recursion_at_one_end_is_regular() {
        assert_eq!(regular("root ::= \"a\" root | \"b\""), [true]);
        assert_eq!(regular("root ::= root \"a\" | \"b\""), [true]);
        assert_eq!(regular("root ::= item (\",\" root)?\nitem ::= [0-9]+"), [true, true]);
    }

    #[test]
    fn recursion_inside_is_not() {
        assert_eq!(regular("root ::= \"(\" root \")\" | x\nx ::= \"x\""), [false, true]);
        assert_eq!(regular("root ::= a\na ::= \"a\" b | \"\"\nb ::= \"b\" a"), [false, false, false]);
        assert_eq!(regular("root ::= \"a\" root"), [false], "it never ends");
    }
}
