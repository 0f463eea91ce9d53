//! The first field `payload` of a form, decoded as it arrives: some senders sign what is inside of it.

/// The field that holds the JSON.
const FIELD: &[u8] = b"payload";

/// Takes a form in pieces, and hands on what is in the field.
#[derive(Debug, Default)]
pub struct Form {
    at: At,
    escape: Escape,
}

#[derive(Debug, Default)]
enum At {
    /// In the name of a field, of which so many bytes are those of [`FIELD`]; `None`: it is another one.
    Name(Option<usize>),
    #[default]
    Start,
    OtherValue,
    Value,
    /// What follows does not count.
    Done,
}

/// What was read of `%XX`.
#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Percent,
    First(u8),
}

impl Form {
    /// Hand on what a piece holds of the field.
    pub fn push(&mut self, piece: &[u8], found: &mut impl FnMut(&[u8])) {
        let mut decoded = Vec::with_capacity(piece.len());
        for byte in piece {
            self.step(*byte, &mut decoded);
        }
        if !decoded.is_empty() {
            found(&decoded);
        }
    }

    /// Hand on an escape that the end cuts off, as it stands.
    pub fn finish(&mut self, found: &mut impl FnMut(&[u8])) {
        let mut decoded = Vec::new();
        self.end_of_value(&mut decoded);
        if !decoded.is_empty() {
            found(&decoded);
        }
    }

    fn step(&mut self, byte: u8, decoded: &mut Vec<u8>) {
        self.at = match (std::mem::replace(&mut self.at, At::Done), byte) {
            (At::Done, _) => At::Done,
            (At::Value, b'&') => {
                self.end_of_value(decoded);
                At::Done
            }
            (At::Value, _) => {
                self.decode(byte, decoded);
                At::Value
            }
            (_, b'&') => At::Start,
            (At::OtherValue, _) => At::OtherValue,
            (At::Name(Some(length)), b'=') if length == FIELD.len() => At::Value,
            (At::Name(_) | At::Start, b'=') => At::OtherValue,
            (At::Start, _) => At::Name((FIELD[0] == byte).then_some(1)),
            (At::Name(known), _) => {
                At::Name(known.filter(|at| FIELD.get(*at) == Some(&byte)).map(|at| at + 1))
            }
        };
    }

    fn decode(&mut self, byte: u8, decoded: &mut Vec<u8>) {
        let digit = char::from(byte).to_digit(16);
        self.escape = match (self.escape, digit) {
            (Escape::First(first), Some(second)) => {
                let first = char::from(first).to_digit(16).unwrap_or_default();
                decoded.push((first * 16 + second) as u8);
                Escape::None
            }
            (Escape::Percent, Some(_)) => Escape::First(byte),
            _ => {
                self.end_of_value(decoded);
                match byte {
                    b'%' => Escape::Percent,
                    _ => {
                        decoded.push(if byte == b'+' { b' ' } else { byte });
                        Escape::None
                    }
                }
            }
        };
    }

    /// What looked like an escape, and is none.
    fn end_of_value(&mut self, decoded: &mut Vec<u8>) {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Percent => decoded.push(b'%'),
            Escape::First(first) => decoded.extend([b'%', first]),
        }
    }
}

/// The field of a whole form.
#[cfg(any(test, feature = "fuzzing"))]
pub fn payload(form: &[u8], piece: usize) -> Vec<u8> {
    let (mut reader, mut found) = (Form::default(), Vec::new());
    form.chunks(piece.max(1))
        .for_each(|piece| reader.push(piece, &mut |bytes| found.extend_from_slice(bytes)));
    reader.finish(&mut |bytes| found.extend_from_slice(bytes));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_payload_is_decoded_in_whatever_pieces_it_comes() {
        for (form, inside) in [
            ("payload=%7B%22a%22%3A1%7D", "{\"a\":1}"),
            ("payload=a+b%2Bc", "a b+c"),
            ("x=1&payload=two&payload=three", "two"),
            ("payload=", ""),
            ("payloads=x", ""),
            ("payloa=x&payload=y", "y"),
            ("=payload&payload=y", "y"),
            ("x=payload=1", ""),
            ("payload", ""),
            ("", ""),
            ("&&payload=a=b&c", "a=b"),
            ("payload=%", "%"),
            ("payload=%4", "%4"),
            ("payload=%zz%41", "%zzA"),
            ("payload=%%41", "%A"),
            ("payload=%4%41", "%4A"),
            ("payload=%&x", "%"),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(payload(form.as_bytes(), piece), inside.as_bytes(), "{form} by {piece}");
            }
        }
        assert_eq!(payload(b"payload=\0\xff%00", 1), b"\0\xff\0");
        let many = "payload=first&".to_owned() + &"payload=x&".repeat(1000);
        assert_eq!(payload(many.as_bytes(), 7), b"first");
    }
}
