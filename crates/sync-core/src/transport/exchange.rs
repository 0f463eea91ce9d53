//! One POST and its answer, as the three objects that gix requires: a writer for the request body, and readers for the
//! headers and the body of the answer. The request is sent when the answer is first read.

use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Response;
use ureq::Body;

use super::answer::{Content, status_error, was_lost};
use super::http_pool::{Lease, LeasedBody};
use super::read_budget::ReadBudget;

/// A POST before it is sent.
pub(super) struct Request {
    pub(super) lease: Arc<Lease>,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn send(mut self, budget: &ReadBudget) -> io::Result<Answer> {
        let mut response = match self.send_once() {
            // The server may close a kept connection just when we use it again. This retry is safe: fetching changes
            // nothing on the server.
            Err(err) if was_lost(&err) => {
                self.lease = self.lease.renewed();
                self.send_once()?
            }
            sent => sent?,
        };
        if response.status().is_success() {
            Answer::of(&self.url, response, &self.lease, Content::Result, budget)
        } else {
            Err(io::Error::other(status_error(&self.url, &mut response)))
        }
    }

    fn send_once(&self) -> io::Result<Response<Body>> {
        self.lease.send(|agent| {
            let headers = self.headers.iter();
            let request =
                headers.fold(agent.post(&self.url), |request, (name, value)| request.header(name, value));
            request.send(&self.body)
        })
    }
}

/// A successful answer that begins like Git's protocol.
pub(super) struct Answer {
    content: Content,
    body: AnswerBody,
}

pub(crate) type AnswerBody = Box<dyn BufRead + Send>;

impl Answer {
    pub(super) fn of(
        url: &str,
        response: Response<Body>,
        lease: &Arc<Lease>,
        content: Content,
        budget: &ReadBudget,
    ) -> io::Result<Answer> {
        let (head, body) = response.into_parts();
        // No more comes at once from the HTTP client, and musl gives larger buffers back after each poll.
        let mut body = io::BufReader::with_capacity(16 * 1024, budget.of(LeasedBody::new(body, lease)));
        let mut begin = Vec::new();
        body.by_ref().take(content.prefix_length() as u64).read_to_end(&mut begin)?;
        match content.fault(url, &Response::from_parts(head, ()), &begin, &mut body) {
            Some(fault) => Err(io::Error::other(fault)),
            None => Ok(Answer { content, body: Box::new(Cursor::new(begin).chain(body)) }),
        }
    }
}

/// The states of a POST.
enum Exchange {
    Building(Request),
    Answered(Answer),
    /// The request failed, or the answer was taken.
    Over,
}

/// One exchange, shared by the objects that gix requires.
#[derive(Clone)]
pub(super) struct Shared {
    exchange: Arc<Mutex<Exchange>>,
    budget: ReadBudget,
}

impl Shared {
    pub(super) fn building(request: Request, budget: &ReadBudget) -> Self {
        Shared { exchange: Arc::new(Mutex::new(Exchange::Building(request))), budget: budget.clone() }
    }

    pub(super) fn answered(answer: Answer, budget: &ReadBudget) -> Self {
        Shared { exchange: Arc::new(Mutex::new(Exchange::Answered(answer))), budget: budget.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take the answer, sending the request first if necessary.
    fn take(&self) -> io::Result<Option<Answer>> {
        match std::mem::replace(&mut *self.lock(), Exchange::Over) {
            Exchange::Building(request) => request.send(&self.budget).map(Some),
            Exchange::Answered(answer) => Ok(Some(answer)),
            Exchange::Over => Ok(None),
        }
    }

    /// The one header that gix reads. gix demands the exact media type, but servers send others; `Answer::of` has
    /// already checked the content, so we report the type that gix expects.
    fn header_lines(&self) -> io::Result<Vec<u8>> {
        let Some(answer) = self.take()? else { return Ok(Vec::new()) };
        let line = format!("content-type: {}\n", answer.content.media_type());
        *self.lock() = Exchange::Answered(answer);
        Ok(line.into_bytes())
    }

    fn take_body(&self) -> io::Result<AnswerBody> {
        let answer = self.take()?.ok_or_else(|| io::Error::other("the answer was read already"))?;
        Ok(answer.body)
    }
}

pub(crate) struct PostBody(pub(super) Shared);

impl Write for PostBody {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Exchange::Building(request) => request.body.extend_from_slice(buf),
            _ => return Err(io::Error::other("the request was sent already")),
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that is opened at the first read.
pub(crate) struct Lazy<R> {
    shared: Shared,
    open: fn(&Shared) -> io::Result<R>,
    reader: Option<R>,
}

pub(crate) type Headers = Lazy<Cursor<Vec<u8>>>;
pub(crate) type ResponseBody = Lazy<AnswerBody>;

impl Headers {
    pub(super) fn of(shared: &Shared) -> Self {
        Lazy { shared: shared.clone(), open: |shared| shared.header_lines().map(Cursor::new), reader: None }
    }
}

impl ResponseBody {
    pub(super) fn of(shared: Shared) -> Self {
        Lazy { shared, open: Shared::take_body, reader: None }
    }
}

impl<R> Lazy<R> {
    fn reader(&mut self) -> io::Result<&mut R> {
        if self.reader.is_none() {
            self.reader = Some((self.open)(&self.shared)?);
        }
        self.reader.as_mut().ok_or_else(|| io::Error::other("just opened"))
    }
}

impl<R: BufRead> Read for Lazy<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader()?.read(buf)
    }
}

impl<R: BufRead> BufRead for Lazy<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(reader) = &mut self.reader {
            reader.consume(amount);
        }
    }
}
