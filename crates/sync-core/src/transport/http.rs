//! Git's smart HTTP(S) protocol: gix's `Http` trait over a leased agent.
//!
//! This module decides which server gets the login, and which redirects are followed.

use std::io;
use std::sync::Arc;

use gix::error::ErrorExt;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport as HttpTransport,
};
use http::{Response, header};
use ureq::Body;

use super::answer::{Content, status_error, was_lost};
use super::connections::Connections;
use super::exchange::{Answer, Headers, PostBody, Request, ResponseBody, Shared};
use super::http_known::Known;
use super::http_pool::{Lease, User};
use super::options::ConnectOptions;
use super::read_budget::ReadBudget;
use super::redirect::{location, origin, redirect_base};
use crate::credentials::Credentials;
use crate::error::{Context, Result};
use crate::interrupt::Interrupt;
use crate::url::HttpUrl;
use crate::url::scope::UrlScope;

/// The most redirects that the first request follows.
const MAX_REDIRECTS: usize = 5;

/// A leased agent, and the settings of the repository.
pub(super) struct Client {
    lease: Arc<Lease>,
    user_headers: Option<UserHeaders>,
    credentials: Credentials,
    follow_redirects: bool,
    redirected: Option<String>,
    budget: ReadBudget,
}

/// The user's headers, which may be secret, and the only origin that may see them.
#[derive(Clone)]
struct UserHeaders {
    origin: UrlScope,
    headers: Vec<(String, String)>,
}

/// A transport for the repository. It connects at the first request. With the URL that an earlier transport had at its
/// end, it needs no handshake: that one's, of protocol v2, still holds.
pub(crate) fn connect(
    url: &HttpUrl,
    known: Option<&str>,
    (options, connections): (&ConnectOptions, &Connections),
    interrupt: &Interrupt,
    budget: &ReadBudget,
    step: impl Fn() -> String,
) -> Result<Box<dyn Transport + Send>> {
    let client = Client::new(url, (options, connections), interrupt, budget);
    if let Some(base) = known {
        let (base, pool) = (base.to_owned(), connections.http.clone());
        return Ok(Box::new(Known { client, base, pool, lines: None }));
    }
    let base = gix::url::parse(&url.base).step(&step)?;
    Ok(Box::new(HttpTransport::new_http(client, base, Protocol::V2, false)))
}

impl Client {
    fn new(
        url: &HttpUrl,
        (options, connections): (&ConnectOptions, &Connections),
        interrupt: &Interrupt,
        budget: &ReadBudget,
    ) -> Client {
        let http = options.http_for(&url.base);
        let auth = options.credentials.login_for(url);
        let auth = auth.map(|auth| (header::AUTHORIZATION.to_string(), auth.header().expose().to_owned()));
        let mut secrets: Vec<_> = auth.into_iter().collect();
        secrets.extend(split_headers(&http.headers));
        let follow_redirects = http.follow_redirects;
        let lease = connections.http.lease(&url.base, http.connection, User::new(options, interrupt));
        let user_headers = origin(&url.base).map(|origin| UserHeaders { origin, headers: secrets });
        Client {
            lease,
            user_headers,
            credentials: options.credentials.clone(),
            follow_redirects,
            redirected: None,
            budget: budget.clone(),
        }
    }

    /// The user's headers and cookies that may be sent to this URL.
    fn user_headers_for(&self, url: &str) -> Vec<(String, String)> {
        let user = self.user_headers.iter().filter(|user| origin(url).as_ref() == Some(&user.origin));
        let cookie = self.credentials.cookies_for(url).map(|value| (header::COOKIE.to_string(), value));
        user.flat_map(|user| user.headers.iter().cloned()).chain(cookie).collect()
    }

    fn get_once(&mut self, url: &str, headers: &[(String, String)]) -> io::Result<Response<Body>> {
        match self.try_get(url, headers) {
            // The server may close a kept connection just when we use it again.
            Err(err) if self.lease.is_reused() && was_lost(&err) => {
                self.lease = self.lease.renewed();
                self.try_get(url, headers)
            }
            answered => answered,
        }
    }

    fn try_get(&self, url: &str, headers: &[(String, String)]) -> io::Result<Response<Body>> {
        let own = self.user_headers_for(url);
        self.lease.send(|agent| {
            let headers = headers.iter().chain(&own);
            headers.fold(agent.get(url), |request, (name, value)| request.header(name, value)).call()
        })
    }

    fn answered(&self, answer: Answer) -> GetResponse<Headers, ResponseBody> {
        let shared = Shared::answered(answer, &self.budget);
        GetResponse { headers: Headers::of(&shared), body: ResponseBody::of(shared) }
    }
}

impl Http for Client {
    type Headers = Headers;
    type ResponseBody = ResponseBody;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, ResponseBody>> {
        let headers = split_headers(headers);
        let tail = url.strip_prefix(base_url).unwrap_or(url).to_owned();
        let mut base = base_url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let url = format!("{base}{tail}");
            let mut response = self.get_once(&url, &headers).map_err(ErrorExt::raise)?;
            if !response.status().is_redirection() {
                self.redirected = (base != base_url).then_some(base);
                if !response.status().is_success() {
                    return Err(status_error(&url, &mut response).raise());
                }
                let answer = Answer::of(&url, response, &self.lease, Content::Advertisement, &self.budget);
                return Ok(self.answered(answer.map_err(ErrorExt::raise)?));
            }
            if !self.follow_redirects {
                return Err(
                    io::Error::other("the server redirects, which http.followRedirects refuses").raise()
                );
            }
            base = redirect_base(&base, &tail, &location(response.headers()))
                .map_err(|text| io::Error::other(text).raise())?;
        }
        Err(io::Error::other(format!("the server redirects more than {MAX_REDIRECTS} times")).raise())
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, ResponseBody, PostBody>> {
        let mut headers = split_headers(headers);
        headers.extend(self.user_headers_for(url));
        let request = Request { lease: self.lease.clone(), url: url.to_owned(), headers, body: Vec::new() };
        let shared = Shared::building(request, &self.budget);
        Ok(PostResponse {
            post_body: PostBody(shared.clone()),
            headers: Headers::of(&shared),
            body: ResponseBody::of(shared),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

/// Names and values of gix's header lines, without its user agent, which ours replaces.
pub(super) fn split_headers(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let split =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    lines
        .into_iter()
        .filter_map(|line| split(line.as_ref()))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Auth;

    fn client(url: &HttpUrl) -> Client {
        let shared = (&ConnectOptions::default(), &Connections::default());
        Client::new(url, shared, &Interrupt::new(), &ReadBudget::new(crate::resources::Resources::default()))
    }

    #[test]
    fn a_connection_is_kept_for_the_longest_of_periods() {
        let url = HttpUrl { base: "https://host/x".into(), login: None };
        let client = client(&url);
        let month = std::time::Duration::from_secs(30 * 24 * 3600);
        let _ = client.lease.send(|agent| {
            assert!(agent.config().max_idle_age() >= month);
            Err(ureq::Error::HostNotFound)
        });
    }

    #[test]
    fn a_login_is_only_for_its_own_origin() {
        let url = HttpUrl { base: "https://host/x".into(), login: Some(Auth::basic("u", "p")) };
        let client = client(&url);
        let basic = [("authorization".to_owned(), "Basic dTpw".to_owned())];
        assert_eq!(client.user_headers_for("https://HOST:443/y"), basic);
        for other in ["http://host/x", "https://host:444/x", "https://host.evil/x", "https://evil/x"] {
            assert_eq!(client.user_headers_for(other), [], "{other}");
        }
    }
}
