//! AMF0 values to send (Adobe Action Message Format 0), for the rig's RTMP client.

/// A value of AMF0 to send (Adobe AMF0).
#[derive(Clone, Debug)]
pub enum Amf<'a> {
    /// Marker 0.
    Number(f64),
    /// Marker 1.
    Boolean(bool),
    /// Marker 2.
    Text(&'a str),
    /// Marker 3.
    Object(Vec<(&'a str, Amf<'a>)>),
    /// Marker 5.
    Null,
}

impl Amf<'_> {
    /// Appends the encoded value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(value) => {
                out.push(0);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Boolean(value) => out.extend_from_slice(&[1, u8::from(*value)]),
            Self::Text(text) => {
                out.push(2);
                encode_name(text, out);
            }
            Self::Object(members) => {
                out.push(3);
                for (name, value) in members {
                    encode_name(name, out);
                    value.encode(out);
                }
                out.extend_from_slice(&[0, 0, 9]);
            }
            Self::Null => out.push(5),
        }
    }
}

fn encode_name(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(text.len()).expect("a short string").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The body of a command message.
pub fn command(name: &str, transaction: f64, arguments: &[Amf<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    Amf::Text(name).encode(&mut body);
    Amf::Number(transaction).encode(&mut body);
    for argument in arguments {
        argument.encode(&mut body);
    }
    body
}
