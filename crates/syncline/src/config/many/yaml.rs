//! YAML as a tree with lines. Only what a file of options needs is taken: mappings, lists and texts. Anchors, aliases,
//! tags and further documents are faults, so that a small file stays a small tree, and means what it seems to.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// How deep lists and mappings may be nested.
const DEEPEST: usize = 8;

/// How many values a file may have.
const MOST_VALUES: usize = 10_000;

/// The fault of a file of repositories in which nothing stands.
pub const EMPTY: &str = "the file is empty; without repositories, write \"repos: {}\"";

/// A value, and where it begins.
pub struct Node {
    /// The first line is 1.
    pub line: usize,
    pub value: Value,
}

/// A value. All scalars are texts: `no` is no boolean, and `1.10` no number.
pub enum Value {
    Text(String),
    /// Nothing, `~` or `null`, without quotes.
    Null,
    List(Vec<Node>),
    /// Keys come in the order of the file; none comes twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
pub struct Key {
    pub text: String,
    pub line: usize,
}

/// Something that is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub text: String,
}

/// The tree of a file, as far as it can be read, and what is wrong with it.
pub fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { parser: Parser::new_from_str(text), values: 0, faults: Vec::new() };
    let root = builder.document();
    let Builder { mut faults, .. } = builder;
    match root {
        Ok(root) => (Some(root), faults),
        Err(fault) => {
            faults.push(fault);
            (None, faults)
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    values: usize,
    /// Those in spite of which reading goes on.
    faults: Vec<Fault>,
}

impl<'a> Builder<'a> {
    /// The only document.
    fn document(&mut self) -> Result<Node, Fault> {
        self.next()?;
        let (event, span) = self.next()?;
        if matches!(event, Event::StreamEnd) {
            return Err(fault(1, EMPTY));
        }
        debug_assert!(matches!(event, Event::DocumentStart(_)), "{span:?}");
        let (event, span) = self.next()?;
        let root = self.node(event, span, 0)?;
        if matches!(root.value, Value::Null) {
            return Err(fault(1, EMPTY));
        }
        self.next()?;
        match self.next()? {
            (Event::StreamEnd, _) => Ok(root),
            (_, span) => Err(fault(line(span), "a second document begins; write one per file")),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(err)) => {
                // The parser quotes a character that it does not expect, whatever it is.
                let (marker, info) = (err.marker(), err.info().replace(char::is_control, "?"));
                let text = format!("is not YAML: {info} (column {})", marker.col() + 1);
                Err(Fault { line: marker.line().max(1), text })
            }
            None => Err(fault(1, "is not YAML: it ends too early")),
        }
    }

    /// The value that begins with an event, which lists and mappings have `depth` of around it.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let line = line(span);
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(Fault {
                line,
                text: format!("there are more than {MOST_VALUES} values; use several files"),
            });
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(line, anchor != 0, tag.is_some());
                self.scalar(text.into_owned(), style, line)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(line, anchor != 0, tag.is_some());
                self.list(deeper(depth, line)?)?
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(line, anchor != 0, tag.is_some());
                self.map(deeper(depth, line)?)?
            }
            Event::Alias(_) => {
                return Err(fault(line, "an alias (*name) is not supported; write the value again"));
            }
            _ => return Err(fault(line, "is not YAML: a value is missing")),
        };
        Ok(Node { line, value })
    }

    fn refuse(&mut self, line: usize, has_anchor: bool, has_tag: bool) {
        if has_anchor {
            self.faults.push(fault(line, "an anchor (&name) is not supported; remove it"));
        }
        if has_tag {
            self.faults.push(fault(line, "a tag (!name) is not supported; remove it, all values are texts"));
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, line: usize) -> Value {
        if text.contains('\0') {
            self.faults.push(fault(line, "a text has a NUL character, which no option can have"));
        }
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Value::Null,
            _ => Value::Text(text),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span, depth)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let (mut entries, mut lines) = (Vec::new(), BTreeMap::new());
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (event, span) => self.key(event, span)?,
            };
            let (event, span) = self.next()?;
            let mut node = self.node(event, span, depth)?;
            if matches!(node.value, Value::Null) {
                // The parser places what is not there at the next token.
                node.line = key.line;
            }
            match lines.insert(key.text.clone(), key.line) {
                None => entries.push((key, node)),
                Some(first) => {
                    let text = format!("{} is there already, in line {first}", shown(&key.text));
                    self.faults.push(Fault { line: key.line, text });
                    lines.insert(key.text, first);
                }
            }
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<Key, Fault> {
        let line = line(span);
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.refuse(line, anchor != 0, tag.is_some());
                Ok(Key { text: text.into_owned(), line })
            }
            Event::Alias(_) => Err(fault(line, "an alias (*name) is not supported; write the key again")),
            _ => Err(fault(line, "a key must be a text, not a list or a mapping")),
        }
    }
}

fn deeper(depth: usize, line: usize) -> Result<usize, Fault> {
    match depth + 1 {
        deeper @ ..=DEEPEST => Ok(deeper),
        _ => Err(Fault { line, text: format!("is nested more than {DEEPEST} levels deep") }),
    }
}

fn line(span: Span) -> usize {
    span.start.line().max(1)
}

fn fault(line: usize, text: &str) -> Fault {
    Fault { line, text: text.to_owned() }
}

/// A name of the file in an error: one line, and not a long one.
pub fn shown(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '"';
    let beginning: String = name.chars().take(80).collect();
    match beginning == name {
        true if !name.is_empty() && name.chars().all(is_plain) => name.to_owned(),
        true => format!("{name:?}"),
        false => format!("{beginning:?}..."),
    }
}
