//! Builds the syntax tree from tokens.

use std::collections::HashMap;

use super::ast::{Expr, Grammar};
use super::lexer::{Place, Token};

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 200;
/// The reference's forms that match token ids; text has no counterpart for them.
const MACROS: [&str; 5] = ["TagDispatch", "Token", "ExcludeToken", "AnyTokens", "TokenTagDispatch"];

/// Reads the rules of a grammar.
pub(super) fn parse(tokens: Vec<(Token, Place)>) -> Result<Grammar, String> {
    let mut names: HashMap<String, usize> = HashMap::new();
    for (token, place) in &tokens {
        if let Token::RuleName(name) = token {
            let index = names.len();
            if names.insert(name.clone(), index).is_some() {
                return Err(error(*place, &format!("Rule \"{name}\" is defined multiple times")));
            }
        }
    }
    let mut parser = Parser { tokens: &tokens, at: 0, names: &names };
    let mut rules = Vec::with_capacity(names.len());
    loop {
        match parser.next() {
            (Token::End, _) => break,
            (Token::RuleName(_), _) => {}
            (Token::Name(_), _) => return Err(root_missing()),
            (_, place) => return Err(error(*place, "Expect rule name")),
        }
        parser.next(); // the `::=` that made it a rule's name
        let body = parser.alternatives(0)?;
        if *parser.peek() == Token::Lookahead {
            // A lookahead assertion only speeds up the reference's masks; it does not change the language.
            parser.next();
            parser.alternatives(0)?;
            parser.expect(')')?;
        }
        rules.push(body);
    }
    let root = *names.get("root").ok_or_else(root_missing)?;
    Ok(Grammar { rules, root })
}

fn root_missing() -> String {
    error(Place { line: 1, column: 1 }, "The root rule with name \"root\" is not found")
}

fn error(place: Place, message: &str) -> String {
    format!("EBNF parser error at line {}, column {}: {message}", place.line, place.column)
}

struct Parser<'a> {
    tokens: &'a [(Token, Place)],
    at: usize,
    names: &'a HashMap<String, usize>,
}

/// Stands for every token after the last one.
static END: (Token, Place) = (Token::End, Place { line: 1, column: 1 });

impl<'a> Parser<'a> {
    fn current(&self) -> &'a (Token, Place) {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn peek(&self) -> &'a Token {
        &self.current().0
    }

    fn next(&mut self) -> &'a (Token, Place) {
        let current = self.current();
        self.at += 1;
        current
    }

    fn fail<T>(&self, message: &str) -> Result<T, String> {
        Err(error(self.current().1, message))
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if *self.peek() == Token::Symbol(symbol) {
            self.next();
            return Ok(());
        }
        self.fail(&format!("Expect {symbol}, but got {}", self.peek().show()))
    }

    fn alternatives(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > MAX_DEPTH {
            return self.fail("Groups are nested too deeply");
        }
        let mut options = vec![self.sequence(depth)?];
        while *self.peek() == Token::Symbol('|') {
            self.next();
            options.push(self.sequence(depth)?);
        }
        Ok(Expr::alt(options))
    }

    fn sequence(&mut self, depth: usize) -> Result<Expr, String> {
        let mut items = Vec::new();
        loop {
            items.push(self.element(depth)?);
            match self.peek() {
                Token::Symbol('|' | ')') | Token::End | Token::RuleName(_) | Token::Lookahead => {
                    return Ok(Expr::seq(items));
                }
                _ => {}
            }
        }
    }

    fn element(&mut self, depth: usize) -> Result<Expr, String> {
        let (token, place) = self.current();
        let atom = match token {
            Token::Literal(text) => Expr::Literal(text.clone()),
            Token::Class { negated, ranges } => {
                if ranges.iter().any(|(first, last)| first > last) {
                    let inside = Place { column: place.column + 1, ..*place };
                    let message = "Invalid character class: lower bound is larger than upper bound";
                    return Err(error(inside, message));
                }
                if ranges.is_empty() && !negated {
                    return self.fail("Empty character class");
                }
                Expr::Class { negated: *negated, ranges: ranges.clone() }
            }
            Token::Name(name) => match self.names.get(name) {
                Some(&index) => Expr::Rule(index),
                None if MACROS.contains(&name.as_str()) => {
                    return self.fail(&format!("{name}(...) is not supported"));
                }
                None => return self.fail(&format!("Rule \"{name}\" is not defined")),
            },
            Token::Symbol('(') => {
                self.next();
                if *self.peek() == Token::Symbol(')') {
                    Expr::empty()
                } else {
                    let inner = self.alternatives(depth + 1)?;
                    if *self.peek() != Token::Symbol(')') {
                        return self.fail(&format!("Expect ), but got {}", self.peek().show()));
                    }
                    inner
                }
            }
            other => return self.fail(&format!("Expect element, but got {}", other.show())),
        };
        self.next();
        self.quantified(atom)
    }

    fn quantified(&mut self, atom: Expr) -> Result<Expr, String> {
        let (min, max) = match self.peek() {
            Token::Symbol('*') => (0, None),
            Token::Symbol('+') => (1, None),
            Token::Symbol('?') => (0, Some(1)),
            Token::Symbol('{') => {
                self.next();
                let min = self.integer()?;
                let mut max = Some(min);
                if *self.peek() == Token::Symbol(',') {
                    self.next();
                    let open = *self.peek() == Token::Symbol('}');
                    let place = self.current().1;
                    max = if open { None } else { Some(self.integer()?) };
                    if let Some(max) = max.filter(|max| *max < min) {
                        let message = format!("Lower bound is larger than upper bound: {min} > {max}");
                        return Err(error(place, &message));
                    }
                }
                if *self.peek() != Token::Symbol('}') {
                    return self.fail(&format!("Expect }}, but got {}", self.peek().show()));
                }
                (min, max)
            }
            _ => return Ok(atom),
        };
        self.next();
        Ok(Expr::Repeat { inner: Box::new(atom), min, max })
    }

    fn integer(&mut self) -> Result<u32, String> {
        let Token::Integer(digits) = self.peek() else {
            return self.fail(&format!("Expect integer, but got {}", self.peek().show()));
        };
        // The library counts repetitions in 31 bits.
        let Some(value) = digits.parse::<u32>().ok().filter(|v| *v < i32::MAX as u32) else {
            return self.fail(&format!("Integer is too large: {digits}"));
        };
        self.next();
        Ok(value)
    }
}
