//! Reads the two selector grammars: tokens, then requirements or terms, with positions.
//!
//! Does not sort or match. Words such as `in` are operators only where an operator may stand.
//!
//! Cost: one pass, O(text); one allocation for each key and value.
//! Source: apimachinery pkg/labels/selector.go and pkg/fields/selector.go @v0.36.3.

use super::{FieldTerm, LabelOperator, LabelRequirement, SelectorError, SelectorProblem};

pub(super) fn requirements(text: &str) -> Result<Vec<LabelRequirement>, SelectorError> {
    let mut parser = Parser { text, at: 0 };
    let mut requirements = Vec::new();
    if parser.peek().text.is_empty() {
        return Ok(requirements);
    }
    loop {
        requirements.push(parser.requirement()?);
        match parser.next() {
            Token { text: "", .. } => return Ok(requirements),
            Token { text: ",", .. } => {}
            token => return Err(token.expected("',' or end")),
        }
    }
}

pub(super) fn terms(text: &str) -> Result<Vec<FieldTerm>, SelectorError> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        if character == ',' && !escaped {
            term(&text[start..at], start, &mut terms)?;
            start = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    term(&text[start..], start, &mut terms)?;
    Ok(terms)
}

fn term(text: &str, start: usize, terms: &mut Vec<FieldTerm>) -> Result<(), SelectorError> {
    if text.is_empty() {
        return Ok(());
    }
    let negation = text.find("!=");
    let equals = text
        .find('=')
        .filter(|&at| Some(at) != negation.map(|at| at + 1));
    let (split, operator_len, negated) = match (negation, equals) {
        (Some(at), equals) if equals.is_none_or(|equals| at < equals) => (at, 2, true),
        (_, Some(at)) if text[at..].starts_with("==") => (at, 2, false),
        (_, Some(at)) => (at, 1, false),
        _ => {
            let problem = SelectorProblem::NoOperator;
            return Err(SelectorError { at: start, problem });
        }
    };
    let value_at = split + operator_len;
    terms.push(FieldTerm {
        path: text[..split].to_owned(),
        negated,
        value: unescape(&text[value_at..], start + value_at)?,
    });
    Ok(())
}

fn unescape(text: &str, start: usize) -> Result<String, SelectorError> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let fail = |problem| SelectorError {
            at: start + at,
            problem,
        };
        match character {
            '\\' => match characters.next() {
                Some((_, escaped @ ('\\' | ',' | '='))) => value.push(escaped),
                _ => return Err(fail(SelectorProblem::Escape)),
            },
            ',' | '=' => return Err(fail(SelectorProblem::Unescaped)),
            _ => value.push(character),
        }
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// A symbol or a word; empty at the end of the text.
#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl<'a> Token<'a> {
    fn is_word(self) -> bool {
        self.text
            .bytes()
            .next()
            .is_some_and(|byte| !is_symbol(byte))
    }

    fn fail(self, problem: SelectorProblem) -> SelectorError {
        SelectorError {
            at: self.at,
            problem,
        }
    }

    fn expected(self, expected: &'static str) -> SelectorError {
        let found = self.text.to_owned();
        self.fail(SelectorProblem::Expected { found, expected })
    }
}

impl<'a> Parser<'a> {
    fn requirement(&mut self) -> Result<LabelRequirement, SelectorError> {
        let mut token = self.next();
        let negated = token.text == "!";
        if negated {
            token = self.next();
        }
        if !token.is_word() {
            return Err(token.expected("identifier"));
        }
        if !is_key(token.text) {
            return Err(token.fail(SelectorProblem::Key));
        }
        let (operator, values) = if negated {
            (LabelOperator::DoesNotExist, Vec::new())
        } else if matches!(self.peek().text, "" | ",") {
            (LabelOperator::Exists, Vec::new())
        } else {
            self.comparison()?
        };
        Ok(LabelRequirement {
            key: token.text.to_owned(),
            operator,
            values,
        })
    }

    fn comparison(&mut self) -> Result<(LabelOperator, Vec<String>), SelectorError> {
        let token = self.next();
        let operator = match token.text {
            "!=" => LabelOperator::NotEquals,
            "<" => LabelOperator::LessThan,
            "=" | "==" => LabelOperator::Equals,
            ">" => LabelOperator::GreaterThan,
            "in" => LabelOperator::In,
            "notin" => LabelOperator::NotIn,
            _ => return Err(token.expected("in, notin, =, ==, !=, >, <")),
        };
        if matches!(operator, LabelOperator::In | LabelOperator::NotIn) {
            return Ok((operator, self.set()?));
        }
        let value = match self.peek() {
            Token { text: "" | ",", at } => Token { at, text: "" },
            _ => self.next(),
        };
        if !value.text.is_empty() && !value.is_word() {
            return Err(value.expected("identifier"));
        }
        let integer = matches!(
            operator,
            LabelOperator::GreaterThan | LabelOperator::LessThan
        );
        if integer && value.text.parse::<i64>().is_err() {
            return Err(value.fail(SelectorProblem::NotAnInteger));
        }
        Ok((operator, vec![label_value(value)?]))
    }

    /// `(a,b)`: between two commas, or a comma and a parenthesis, stands the empty value.
    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        let open = self.next();
        if open.text != "(" {
            return Err(open.expected("'('"));
        }
        let mut values = Vec::new();
        loop {
            let token = match self.peek() {
                Token {
                    text: "," | ")",
                    at,
                } => Token { at, text: "" },
                token if token.is_word() => self.next(),
                token => return Err(token.expected("',', ')' or identifier")),
            };
            values.push(label_value(token)?);
            match self.next() {
                Token { text: ",", .. } => {}
                Token { text: ")", .. } => break,
                token => return Err(token.expected("',' or ')'")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn peek(&self) -> Token<'a> {
        let (text, at) = (self.text, self.at);
        Parser { text, at }.next()
    }

    fn next(&mut self) -> Token<'a> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        let at = self.text.len() - rest.len();
        let len = match rest.as_bytes() {
            [b'!' | b'=', b'=', ..] => 2,
            [byte, ..] if is_symbol(*byte) => 1,
            bytes => bytes
                .iter()
                .position(|&byte| is_symbol(byte) || byte.is_ascii_whitespace())
                .unwrap_or(bytes.len()),
        };
        self.at = at + len;
        Token {
            at,
            text: &rest[..len],
        }
    }
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn label_value(token: Token<'_>) -> Result<String, SelectorError> {
    if token.text.is_empty() || is_name(token.text) {
        Ok(token.text.to_owned())
    } else {
        Err(token.fail(SelectorProblem::Value))
    }
}

fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.split('.').all(|label| {
            label.bytes().next().is_some_and(inner)
                && label.bytes().last().is_some_and(inner)
                && label.bytes().all(|byte| inner(byte) || byte == b'-')
        })
}
