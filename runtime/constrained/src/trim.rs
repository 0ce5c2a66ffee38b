//! Removes the parts of a grammar that no text can complete.
//!
//! A rule can need a terminal that matches nothing (`patternProperties` whose names are all used, a `multipleOf` that
//! no number in a range satisfies), or it can need itself (a list node that requires the next one). The library's
//! parser would still enter such a rule: the mask would allow a comma after which nothing fits, and white space would
//! follow until `max_tokens`. Without these rules, every text that the masks allow can be completed.

use std::collections::HashMap;
use std::fmt::Display;

use llguidance::api::{GrammarInit, ParserLimits};
use llguidance::derivre::StateID;
use llguidance::earley::lexerspec::LexerSpec;
use llguidance::earley::regexvec::LexemeSet;
use llguidance::earley::{CGrammar, CSymIdx, Grammar, SymIdx};
use llguidance::toktrie::TokEnv;

/// The error if no rule is left.
const NOTHING: &str = "no text satisfies the grammar: whatever begins it can never end";

/// The grammar without the rules that no text can complete.
///
/// # Errors
/// If the library refuses the grammar, or no rule is left.
pub(crate) fn trim(init: GrammarInit, env: &TokEnv, limits: &ParserLimits) -> Result<GrammarInit, String> {
    let (grammar, lexer) = init.to_internal(Some(env.clone()), limits.clone()).map_err(text)?;
    let compiled = grammar.optimize().compile(lexer.clone(), limits).map_err(text)?;
    let symbols = reachable(&compiled);
    let ends = with_an_end(&compiled, &symbols, limits)?;
    if !ends[compiled.start().as_index()] {
        return Err(NOTHING.into());
    }
    if compiled.parametric() || symbols.iter().all(|symbol| ends[symbol.as_index()]) {
        return Ok(GrammarInit::Internal(grammar, lexer));
    }
    let trimmed = without_dead_rules(&compiled, &symbols, &ends).map_err(text)?;
    Ok(GrammarInit::Internal(trimmed, lexer))
}

fn text(error: impl Display) -> String {
    format!("{error:#}")
}

/// The right-hand sides of the rules of `symbol`; empty rules are not among them.
fn rules(grammar: &CGrammar, symbol: CSymIdx) -> impl Iterator<Item = &[CSymIdx]> {
    grammar.rules_of(symbol).iter().map(|rule| grammar.rule_rhs(*rule).0)
}

/// The symbols reachable from the start symbol, which comes first.
fn reachable(grammar: &CGrammar) -> Vec<CSymIdx> {
    let mut found = vec![grammar.start()];
    let mut seen = vec![false; grammar.start().as_index() + 1];
    seen[grammar.start().as_index()] = true;
    let mut next = 0;
    while let Some(&symbol) = found.get(next) {
        next += 1;
        for part in rules(grammar, symbol).flatten() {
            let index = part.as_index();
            if index >= seen.len() {
                seen.resize(index + 1, false);
            }
            if !std::mem::replace(&mut seen[index], true) {
                found.push(*part);
            }
        }
    }
    found
}

/// For each symbol index, whether some text matches the symbol.
fn with_an_end(grammar: &CGrammar, symbols: &[CSymIdx], limits: &ParserLimits) -> Result<Vec<bool>, String> {
    let size = symbols.iter().map(|symbol| symbol.as_index() + 1).max().unwrap_or(0);
    let mut ends = vec![false; size];
    let lexer: &LexerSpec = grammar.lexer_spec();
    let mut expressions = lexer.to_regex_vec(&mut limits.clone()).map_err(text)?;
    let mut open = Vec::new();
    for &symbol in symbols {
        let data = grammar.sym_data(symbol);
        match data.lexeme {
            Some(lexeme) => {
                let mut only = LexemeSet::new(lexer.lexemes.len());
                only.add(lexeme);
                ends[symbol.as_index()] =
                    lexer.is_nullable(lexeme) || expressions.initial_state(&only) != StateID::DEAD;
            }
            None if data.is_nullable || !data.cond_nullable.is_empty() => ends[symbol.as_index()] = true,
            None => open.push(symbol),
        }
    }
    // Symbols come after those that use them, so going backwards decides most in the first round.
    open.reverse();
    loop {
        let before = open.len();
        open.retain(|symbol| {
            let end = rules(grammar, *symbol).any(|rule| rule.iter().all(|part| ends[part.as_index()]));
            ends[symbol.as_index()] = end;
            !end
        });
        if open.len() == before {
            return Ok(ends);
        }
    }
}

/// Rebuilds the grammar from the rules whose parts can all be completed.
fn without_dead_rules(
    compiled: &CGrammar,
    symbols: &[CSymIdx],
    ends: &[bool],
) -> Result<Grammar, Box<dyn std::error::Error + Send + Sync>> {
    let alive = || symbols.iter().copied().filter(|symbol| ends[symbol.as_index()]);
    let mut grammar = Grammar::new(None);
    // The first symbol of a grammar is its start symbol.
    let new: HashMap<usize, SymIdx> = alive()
        .map(|symbol| {
            let data = compiled.sym_data(symbol);
            (symbol.as_index(), grammar.fresh_symbol_ext(&data.name, data.props.clone()))
        })
        .collect();
    for symbol in alive() {
        let (data, left) = (compiled.sym_data(symbol), new[&symbol.as_index()]);
        if let Some(lexeme) = data.lexeme {
            grammar.make_terminal(left, lexeme, compiled.lexer_spec())?;
            continue;
        }
        if let Some(options) = &data.gen_grammar {
            grammar.make_gen_grammar(left, options.clone())?;
        }
        if data.is_nullable {
            grammar.add_rule(left, Vec::new())?;
        }
        for rule in rules(compiled, symbol).filter(|rule| rule.iter().all(|part| ends[part.as_index()])) {
            grammar.add_rule(left, rule.iter().map(|part| new[&part.as_index()]).collect())?;
        }
    }
    Ok(grammar)
}
