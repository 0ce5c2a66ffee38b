//! Writes the tree as a Lark grammar: regular parts as terminals, the rest as rules.

use super::ast::{Expr, Grammar};
use crate::lark::{self, Lark};

/// Writes `grammar` and returns the expression for its root.
pub(super) fn emit(grammar: &Grammar, regular: &[bool], lark: &mut Lark) -> String {
    let names = vec![None; grammar.rules.len()];
    let mut emitter = Emitter { grammar, regular, lark, names, wanted: Vec::new() };
    let root = emitter.rule(&Expr::Rule(grammar.root));
    while let Some((index, name)) = emitter.wanted.pop() {
        let Some(body) = grammar.rules.get(index) else { continue };
        let body = emitter.rule(body);
        emitter.lark.define(&name, &body);
    }
    root
}

struct Emitter<'a> {
    grammar: &'a Grammar,
    regular: &'a [bool],
    lark: &'a mut Lark,
    /// The Lark name of each rule, once assigned.
    names: Vec<Option<String>>,
    /// Recursive rules that have a name but not yet a body.
    wanted: Vec<(usize, String)>,
}

impl Emitter<'_> {
    fn name_of(&self, index: usize) -> Option<String> {
        self.names.get(index).cloned().flatten()
    }

    fn set_name(&mut self, index: usize, name: &str) {
        if let Some(slot) = self.names.get_mut(index) {
            *slot = Some(name.to_owned());
        }
    }

    fn is_regular(&self, expr: &Expr) -> bool {
        expr.all_rules(&mut |rule| self.regular.get(rule).copied().unwrap_or(false))
    }

    /// Writes the regular `expr` as one item of a terminal.
    fn terminal(&mut self, expr: &Expr) -> String {
        match expr {
            Expr::Literal(text) => lark::literal(text),
            Expr::Class { negated, ranges } => lark::class(*negated, ranges),
            Expr::Rule(index) => {
                if let Some(name) = self.name_of(*index) {
                    return name;
                }
                let Some(body) = self.grammar.rules.get(*index) else { return lark::literal("") };
                let name = self.terminal(body);
                self.set_name(*index, &name);
                name
            }
            Expr::Seq(items) if items.is_empty() => lark::literal(""),
            Expr::Seq(items) => {
                let words: Vec<String> = items.iter().map(|item| self.terminal(item)).collect();
                self.lark.terminal(&words.join(" "))
            }
            Expr::Alt(options) => {
                let words: Vec<String> = options.iter().map(|option| self.terminal(option)).collect();
                self.lark.terminal(&words.join(" | "))
            }
            Expr::Repeat { inner, min, max } => {
                let word = self.terminal(inner);
                let body = repeated(&word, *min, *max);
                self.lark.terminal(&body)
            }
        }
    }

    /// Writes `expr` as one item of a rule.
    fn rule(&mut self, expr: &Expr) -> String {
        if self.is_regular(expr) {
            return self.terminal(expr);
        }
        match expr {
            Expr::Rule(index) => self.name_of(*index).unwrap_or_else(|| {
                let name = self.lark.reserve();
                self.set_name(*index, &name);
                self.wanted.push((*index, name.clone()));
                name
            }),
            Expr::Alt(options) => {
                let (plain, recursive): (Vec<&Expr>, Vec<&Expr>) =
                    options.iter().partition(|option| self.is_regular(option));
                let mut words: Vec<String> = recursive.into_iter().map(|option| self.rule(option)).collect();
                if !plain.is_empty() {
                    words.insert(0, self.terminal(&Expr::alt(plain.into_iter().cloned())));
                }
                self.lark.rule(&words.join(" | "))
            }
            Expr::Seq(items) => {
                let mut words = Vec::new();
                let mut run: Vec<Expr> = Vec::new();
                for item in items {
                    if self.is_regular(item) {
                        run.push(item.clone());
                        continue;
                    }
                    if !run.is_empty() {
                        words.push(self.terminal(&Expr::seq(run.drain(..))));
                    }
                    words.push(self.rule(item));
                }
                if !run.is_empty() {
                    words.push(self.terminal(&Expr::seq(run)));
                }
                self.lark.rule(&words.join(" "))
            }
            Expr::Repeat { inner, min, max } => {
                let word = self.rule(inner);
                let body = repeated(&word, *min, *max);
                self.lark.rule(&body)
            }
            Expr::Literal(_) | Expr::Class { .. } => self.terminal(expr),
        }
    }
}

fn repeated(word: &str, min: u32, max: Option<u32>) -> String {
    match (min, max) {
        (_, Some(0)) => lark::literal(""),
        (0, None) => format!("{word}*"),
        (1, None) => format!("{word}+"),
        (0, Some(1)) => format!("{word}?"),
        (min, None) => format!("{word}{{{min},}}"),
        (min, Some(max)) => format!("{word}{{{min},{max}}}"),
    }
}
