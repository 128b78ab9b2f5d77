//! The answer to one request on a connection that stays open (RFC 9112).

use memchr::memmem;

/// An answer, split anywhere. Its length must be given: all that HLS is made of has one.
#[derive(Debug)]
pub(super) struct Answer {
    keeps: bool,
    head: Vec<u8>,
    /// Of the body; `None` until the head is whole.
    left: Option<usize>,
    body: Vec<u8>,
}

impl Answer {
    /// One whose body is kept, or only counted.
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, head: Vec::new(), left: None, body: Vec::new() }
    }

    /// Takes bytes from the server.
    ///
    /// # Errors
    /// It is no answer, says no, has no length, or something comes behind it.
    pub(super) fn handle_input(&mut self, input: &[u8]) -> Result<(), String> {
        if self.left.is_some() {
            return self.take(input);
        }
        // Most answers come whole: then nothing is copied.
        if self.head.is_empty()
            && let Some(end) = memmem::find(input, HEAD_END)
        {
            let (head, body) = input.split_at(end + HEAD_END.len());
            self.left = Some(content_length(head)?);
            return self.take(body);
        }
        let before = self.head.len();
        self.head.extend_from_slice(input);
        let from = before.saturating_sub(HEAD_END.len());
        let Some(end) = self.head.get(from..).and_then(|new| memmem::find(new, HEAD_END)) else {
            let fits = self.head.len() <= HEAD_BYTES_MAX;
            return if fits { Ok(()) } else { Err("the answer's head is too long".to_owned()) };
        };
        let body = self.head.split_off(from + end + HEAD_END.len());
        self.left = Some(content_length(&std::mem::take(&mut self.head))?);
        self.take(&body)
    }

    fn take(&mut self, input: &[u8]) -> Result<(), String> {
        self.count(input.len())?;
        if self.keeps {
            self.body.extend_from_slice(input);
        }
        Ok(())
    }

    /// Takes bytes that nobody has looked at.
    ///
    /// # Errors
    /// They are more than the body has left.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left.and_then(|left| left.checked_sub(bytes));
        self.left = Some(left.ok_or_else(|| "a body is longer than it should be".to_owned())?);
        Ok(())
    }

    /// How many bytes of the body may be counted instead of read: none before the head is whole, and
    /// none of a body that is kept.
    pub(super) fn countable(&self) -> usize {
        if self.keeps { 0 } else { self.left.unwrap_or(0) }
    }

    /// Whether its body is kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// True when all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    /// The body, if it is kept.
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// The length of the body behind a head that says yes.
fn content_length(head: &[u8]) -> Result<usize, String> {
    let head = std::str::from_utf8(head).map_err(|_| "the answer's head is no text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    if !status_line.starts_with("HTTP/1.") || status_line.get(8..12) != Some(" 200") {
        return Err(format!("the server answered `{status_line}`"));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Length").then(|| value.trim().parse().ok())?
    });
    length.ok_or_else(|| "an answer does not say its length".to_owned())
}

const HEAD_END: &[u8] = b"\r\n\r\n";
/// More than any server's answer, so that a wrong port is noticed soon.
const HEAD_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nETag: x\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_with_its_last_byte_wherever_it_is_split() {
        for split in 0..ANSWER.len() {
            let mut answer = Answer::new(true);
            let (first, second) = ANSWER.split_at(split);
            answer.handle_input(first).unwrap();
            assert!(!answer.is_whole() && answer.countable() == 0, "{split}");
            answer.handle_input(second).unwrap();
            assert!(answer.is_whole());
            assert_eq!(answer.into_body(), b"hello", "{split}");
        }
    }

    #[test]
    fn a_body_that_is_not_kept_may_be_counted() {
        let mut answer = Answer::new(false);
        answer.handle_input(&ANSWER[..ANSWER.len() - 4]).unwrap();
        assert_eq!(answer.countable(), 4);
        answer.count(3).unwrap();
        assert!(!answer.is_whole());
        answer.count(1).unwrap();
        assert!(answer.is_whole() && answer.count(1).is_err());
    }

    #[test]
    fn refusals_nonsense_and_what_comes_behind_are_errors() {
        let error = |bytes: &[u8]| Answer::new(true).handle_input(bytes).unwrap_err();
        assert!(error(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").contains("404"));
        assert!(error(b"HTTP/1.1 200 OK\r\n\r\n").contains("length"));
        assert!(error(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").contains("length"));
        assert!(error(&[ANSWER, b"!"].concat()).contains("longer"));
        assert!(error(&[b'x'; HEAD_BYTES_MAX + 1]).contains("too long"));
        assert!(error(b"x\r\n\r\n").contains("answered"));
    }
}
