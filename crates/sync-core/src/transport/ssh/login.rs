//! Logs in by offering keys to the server, one after the other, until it accepts one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::MethodSet;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{self, Signature};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};

use super::client::{Client, End, Reason};
use super::failure::Failure;
use super::keys::Identity;
use super::known_hosts::describe;

/// The user, and the keys to offer.
pub(super) struct Offers {
    pub(super) user: String,
    pub(super) identities: Vec<Identity>,
    pub(super) agent: Option<PathBuf>,
    /// What is wrong with keys that cannot be used.
    pub(super) faults: Vec<String>,
}

/// Log in. The error lists what was offered.
pub(super) async fn log_in(handle: &mut Handle<Client>, offers: Offers, end: End) -> Result<(), Failure> {
    let Offers { user, identities, agent, faults } = offers;
    // Some servers need no key. The others answer with the methods that they accept.
    let methods = match handle.authenticate_none(user.as_str()).await {
        Ok(AuthResult::Success) => return Ok(()),
        Ok(AuthResult::Failure { remaining_methods, .. }) => remaining_methods,
        Err(_) => return Err(end.into()),
    };
    let mut attempt = Attempt { handle, end, user, methods, tried: Vec::new(), faults, rsa_hash: None };
    for identity in &identities {
        if attempt.offer(identity).await {
            return Ok(());
        }
    }
    if let Some(agent) = agent
        && attempt.offer_agent(&agent).await
    {
        return Ok(());
    }
    Err(attempt.failure())
}

struct Attempt<'a> {
    handle: &'a mut Handle<Client>,
    end: End,
    user: String,
    methods: MethodSet,
    /// Descriptions of what was offered.
    tried: Vec<String>,
    faults: Vec<String>,
    rsa_hash: Option<HashAlg>,
}

impl Attempt<'_> {
    /// Whether the server has ended the session, as servers do after some unknown keys.
    fn is_over(&self) -> bool {
        self.handle.is_closed()
    }

    async fn offer(&mut self, identity: &Identity) -> bool {
        if self.is_over() {
            return false;
        }
        let data = identity.key.public_key().key_data();
        let (hash, shown) = (self.hash_for(data).await, describe(data));
        if let Some(certificate) = &identity.certificate {
            let signer = &mut FileSigner(identity.key.clone());
            let answer = self.handle.authenticate_certificate_with(
                self.user.as_str(),
                certificate.clone(),
                hash,
                signer,
            );
            let answer = answer.await;
            if self.is_accepted(format!("a certificate of {shown}"), answer) {
                return true;
            }
            if self.is_over() {
                return false;
            }
        }
        let key = PrivateKeyWithHashAlg::new(identity.key.clone(), hash);
        let answer = self.handle.authenticate_publickey(self.user.as_str(), key).await;
        self.is_accepted(format!("{shown} ({})", identity.file.display()), answer)
    }

    async fn offer_agent(&mut self, socket: &Path) -> bool {
        let listed = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        let (mut agent, identities) = match listed.await {
            Ok(listed) => listed,
            Err(err) => {
                self.faults.push(format!("cannot ask the agent at {}: {err}", socket.display()));
                return false;
            }
        };
        for identity in identities {
            if self.is_over() {
                break;
            }
            let user = self.user.clone();
            let (shown, answer) = match identity {
                AgentIdentity::PublicKey { key, .. } => {
                    let shown = describe(key.key_data());
                    if self.tried.iter().any(|tried| tried.starts_with(&shown)) {
                        continue;
                    }
                    let hash = self.hash_for(key.key_data()).await;
                    (shown, self.handle.authenticate_publickey_with(user, key, hash, &mut agent).await)
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    let shown = format!("a certificate of {}", describe(certificate.public_key()));
                    let hash = self.hash_for(certificate.public_key()).await;
                    let answer =
                        self.handle.authenticate_certificate_with(user, certificate, hash, &mut agent);
                    (shown, answer.await)
                }
            };
            if self.is_accepted(format!("{shown} (from the agent)"), answer) {
                return true;
            }
        }
        false
    }

    fn is_accepted<E: std::fmt::Display>(&mut self, offered: String, answer: Result<AuthResult, E>) -> bool {
        match answer {
            Ok(AuthResult::Success) => return true,
            Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                self.methods = remaining_methods;
                self.tried.push(format!("{offered}, which is not enough"));
            }
            Ok(_) => self.tried.push(offered),
            Err(err) => self.tried.push(format!("{offered}: {err}")),
        }
        false
    }

    /// The hash for signatures of this key. RSA keys use SHA-2, never SHA-1.
    async fn hash_for(&mut self, key: &KeyData) -> Option<HashAlg> {
        if !key.algorithm().is_rsa() {
            return None;
        }
        if self.rsa_hash.is_none() {
            let best = self.handle.best_supported_rsa_hash().await.ok().flatten().flatten();
            self.rsa_hash = Some(best.unwrap_or(HashAlg::Sha512));
        }
        self.rsa_hash
    }

    fn failure(self) -> Failure {
        if !self.is_over() {
            return Failure::Refused(self.refusal("there is no key to offer", ""));
        }
        match self.end.reason() {
            Reason::Refused(text) => Failure::Refused(self.refusal("no key was offered", &text)),
            // The server ends the session after too many keys.
            Reason::Dismissed(text) if !self.tried.is_empty() => Failure::Refused(self.refusal("", &text)),
            Reason::Dismissed(_) | Reason::Lost(_) => self.end.into(),
        }
    }

    /// The error text. `nothing` replaces the list of offered keys if it is empty.
    fn refusal(&self, nothing: &str, last_words: &str) -> String {
        let tried = if self.tried.is_empty() {
            nothing.to_owned()
        } else {
            format!("it was offered {}", self.tried.join(", "))
        };
        let methods: Vec<String> = self.methods.iter().map(String::from).collect();
        let mut text = format!("the server refuses user {}: {tried}", self.user);
        if !last_words.is_empty() {
            text.push_str(&format!(", and it hung up: {last_words}"));
        }
        if !methods.is_empty() {
            text.push_str(&format!("; it accepts {}", methods.join(", ")));
        }
        for fault in &self.faults {
            text.push_str(&format!("; {fault}"));
        }
        text
    }
}

/// Signs for a certificate. russh itself would use SHA-1 for RSA.
struct FileSigner(Arc<PrivateKey>);

impl russh::Signer for FileSigner {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut text: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature: Result<Signature, _> = match self.0.key_data() {
            KeypairData::Rsa(key) => (key, hash).try_sign(&text),
            key => key.try_sign(&text),
        };
        let signature = signature.map_err(ssh_key::Error::from).and_then(Vec::<u8>::try_from);
        let signature = signature.map_err(russh::keys::Error::from)?;
        text.extend_from_slice(&(signature.len() as u32).to_be_bytes());
        text.extend_from_slice(&signature);
        Ok(text)
    }
}
