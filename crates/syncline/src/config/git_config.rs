//! What of Git's configuration has an effect here.

use super::git_setting::GitSetting;
use crate::reader::OptionReader;
use std::path::PathBuf;

use sync_core::{ConnectOptions, HttpSetting, ProtocolPolicy, RemoteUrl, SubmoduleRules, UrlScope};

/// Settings that are not needed here, besides all of `gc.*`: their purpose does not arise or is met in another way.
const WITHOUT_EFFECT: [&str; 9] = [
    "safe.directory",
    "core.askPass",
    "credential.helper",
    "http.postBuffer",
    "http.version",
    "http.maxRequests",
    "http.minSessions",
    "protocol.version",
    "url.pushInsteadOf",
];

fn is_without_effect(setting: &GitSetting) -> bool {
    setting.section.eq_ignore_ascii_case("gc") || WITHOUT_EFFECT.iter().any(|name| setting.is(name))
}

/// Apply the settings that a fetch uses, the later ones over the earlier; the rest are named in warnings.
pub fn apply(r: &mut OptionReader, settings: &[GitSetting], connect: &mut ConnectOptions) {
    for setting in settings.iter().filter(|setting| !is_without_effect(setting)) {
        let (origin, shown) = (&setting.origin, setting.shown());
        match apply_one(setting, r, connect) {
            Ok(true) => {}
            Ok(false) => r.warn_at(origin, format!("{shown} {}", why_unused(setting))),
            Err(error) => r.error_at(origin, format!("{shown} {error}")),
        }
    }
    for setting in settings.iter().filter(|setting| setting.is("submodule.url")) {
        // Only now all of insteadOf is known.
        match submodule_url(setting, r, connect) {
            Ok(url) => connect.submodule_urls.extend(setting.scope.clone().map(|name| (name, url))),
            Err(error) => r.error_at(&setting.origin, format!("submodule.url {error}")),
        }
    }
    if let Some(off) =
        settings.iter().find(|setting| setting.is("http.sslVerify") && is_false(&setting.value))
    {
        r.warn_at(
            &off.origin,
            "http.sslVerify is off: an attacker on the network can read and change what is synced",
        );
    }
}

fn submodule_url(
    setting: &GitSetting,
    r: &OptionReader,
    connect: &ConnectOptions,
) -> Result<RemoteUrl, String> {
    let url = connect.rewrite(&setting.value).parse::<RemoteUrl>()?.relative_to(&r.absolute(""));
    match connect.allows(&url, false) {
        true => Ok(url),
        false => Err(format!("uses the protocol {}, which protocol.allow forbids", url.protocol())),
    }
}

/// The cookie file, if they name one.
pub fn cookie_file(r: &OptionReader, settings: &[GitSetting]) -> Option<PathBuf> {
    let setting =
        settings.iter().rfind(|setting| setting.is("http.cookieFile") && setting.scope.is_none())?;
    (!setting.value.is_empty()).then(|| r.absolute(&setting.value))
}

/// Which submodules the settings leave out. Wrong settings are reported by [`apply`].
pub fn submodule_rules(settings: &[GitSetting]) -> SubmoduleRules {
    let mut rules = SubmoduleRules::default();
    for setting in settings {
        let _ = apply_rule(setting, &mut rules);
    }
    rules
}

/// Whether it is such a rule.
fn apply_rule(setting: &GitSetting, rules: &mut SubmoduleRules) -> Result<bool, String> {
    match &setting.scope {
        Some(name) if setting.is("submodule.update") => {
            let Some(wanted) = updated(&setting.value)? else { return Ok(false) };
            rules.update.push((name.clone(), wanted));
        }
        Some(name) if setting.is("submodule.active") => {
            rules.active.push((name.clone(), boolean(&setting.value)?));
        }
        None if setting.is("submodule.active") => rules.add_active_path(&setting.value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether a submodule is checked out by git's way to update it: commands are not.
fn updated(value: &str) -> Result<Option<bool>, &'static str> {
    match value {
        "checkout" | "rebase" | "merge" => Ok(Some(true)),
        "none" => Ok(Some(false)),
        command if command.starts_with('!') => Ok(None),
        _ => Err("must be checkout, rebase, merge or none"),
    }
}

fn why_unused(setting: &GitSetting) -> &'static str {
    if setting.is("submodule.update") {
        "has no effect: no command is run, and the submodule is checked out"
    } else if setting.is("http.pinnedPubkey") {
        "has no effect: every server with a trusted certificate is accepted"
    } else {
        "has no effect here"
    }
}

/// Whether it has an effect.
fn apply_one(setting: &GitSetting, r: &OptionReader, connect: &mut ConnectOptions) -> Result<bool, String> {
    let (scope, value) = (setting.scope.clone(), &setting.value);
    match (setting.section.to_ascii_lowercase().as_str(), setting.name.to_ascii_lowercase().as_str()) {
        ("url", "insteadof") => {
            let Some(base) = scope else { return Ok(false) };
            connect.rewrites.push((value.clone(), base));
        }
        ("protocol", "allow") => connect.protocols.push((scope, allowed(value)?)),
        ("submodule", "url") => return Ok(scope.is_some()),
        ("submodule", _) => return apply_rule(setting, &mut SubmoduleRules::default()),
        // See `cookie_file`.
        ("http", "cookiefile") if scope.is_none() => {}
        ("http", name) => {
            let Some(http) = http_setting(name, value, r)? else { return Ok(false) };
            let place = scope.map(|scope| scope.parse::<UrlScope>()).transpose();
            connect.http.push((place.map_err(|error| format!("is for a URL that {error}"))?, http));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn http_setting(name: &str, value: &str, r: &OptionReader) -> Result<Option<HttpSetting>, String> {
    Ok(Some(match name {
        "extraheader" => HttpSetting::Header(value.into()),
        "sslcainfo" => HttpSetting::CaFile(r.absolute(value)),
        "sslcapath" => HttpSetting::CaDirectory(r.absolute(value)),
        "proxysslcainfo" => HttpSetting::ProxyCaFile(r.absolute(value)),
        "sslcert" => HttpSetting::ClientCert(r.absolute(value)),
        "sslkey" => HttpSetting::ClientKey(r.absolute(value)),
        "sslverify" => HttpSetting::Verify(!is_false(value)),
        "proxy" if value.is_empty() => HttpSetting::Proxy(None),
        "proxy" => HttpSetting::Proxy(Some(value.parse()?)),
        "followredirects" => HttpSetting::FollowRedirects(!is_false(value)),
        "useragent" => HttpSetting::UserAgent(value.into()),
        _ => return Ok(None),
    }))
}

/// Git's words for no.
pub fn is_false(value: &str) -> bool {
    ["false", "no", "off", "0", ""].contains(&value.to_ascii_lowercase().as_str())
}

fn boolean(value: &str) -> Result<bool, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        value if is_false(value) => Ok(false),
        "true" | "yes" | "on" => Ok(true),
        number if number.parse::<i64>().is_ok() => Ok(true),
        _ => Err("must be true or false"),
    }
}

fn allowed(value: &str) -> Result<ProtocolPolicy, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "always" => Ok(ProtocolPolicy::Always),
        "user" => Ok(ProtocolPolicy::User),
        "never" => Ok(ProtocolPolicy::Never),
        _ => Err("must be always, user or never"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, errors};
    use super::*;

    #[test]
    fn settings_of_a_fetch_are_honoured_and_others_named() {
        let given = "--git-config=HTTP.extraHeader:X: 1,\"http.https://h/.extraHeader\":Y: 2,http.sslCAInfo:ca.pem,http.sslCAPath:ca,\
                     \"url.https://mirror/.insteadOf\":\"https://origin/\",safe.directory:*,user.name:me,gc.any:1,\
                     protocol.allow:NEVER,protocol.file.allow:Always,protocol.https.allow:always,\
                     \"http.https://canary@*.H:443/.sslVerify\":no,http.followRedirects:False,\
                     http.proxy:\"socks5://p\",http.userAgent:me,http.sslCert:/c,http.proxy:\"\"";
        let config = config(&[given, "--git-config-add=\"http.https://canary@h/.pinnedPubkey\":canary"], &[]);
        let config = config.unwrap();
        let starts = [
            "--git-config: user.name has no effect here",
            "--git-config-add: http.pinnedPubkey has no effect: every server",
            "--git-config: http.sslVerify is off",
        ];
        let warnings = &config.warnings;
        assert!(
            warnings.len() == 3 && starts.iter().zip(warnings).all(|(start, text)| text.starts_with(start)),
            "{warnings:?}"
        );
        let expected = [
            ("", HttpSetting::Header("X: 1".into())),
            ("https://h", HttpSetting::Header("Y: 2".into())),
            ("", HttpSetting::CaFile("/cwd/ca.pem".into())),
            ("", HttpSetting::CaDirectory("/cwd/ca".into())),
            ("https://*.h", HttpSetting::Verify(false)),
            ("", HttpSetting::FollowRedirects(false)),
            ("", HttpSetting::Proxy(Some("socks5://p".parse().unwrap()))),
            ("", HttpSetting::UserAgent("me".into())),
            ("", HttpSetting::ClientCert("/c".into())),
            ("", HttpSetting::Proxy(None)),
        ];
        assert_eq!(config.connect.http, expected.map(|(scope, setting)| (scope.parse().ok(), setting)));
        assert_eq!(config.connect.rewrites, [("https://origin/".into(), "https://mirror/".to_owned())]);
        let protocols = [
            (None, ProtocolPolicy::Never),
            (Some("file"), ProtocolPolicy::Always),
            (Some("https"), ProtocolPolicy::Always),
        ];
        assert_eq!(
            config.connect.protocols,
            protocols.map(|(name, allowed)| (name.map(Into::into), allowed))
        );
    }

    #[test]
    fn settings_of_submodules_are_honoured() {
        let given = "submodule.a.b.update:none,SUBMODULE.c.Update:checkout,submodule.c.active:no,submodule.active:libs,\
                     \"submodule.d.url\":\"gh:g/d\",\"url.https://host/.insteadOf\":\"gh:\",submodule.e.url:sub/e,\
                     submodule.f.update:!touch canary,submodule.recurse:true";
        let config = config(&["--git-config", given], &[]).unwrap();
        let rules = &config.source.selection.submodule_rules;
        assert_eq!(rules.update, [("a.b".into(), false), ("c".to_owned(), true)]);
        assert_eq!(rules.active, [("c".to_owned(), false)]);
        let urls = config.connect.submodule_urls.iter().map(|(name, url)| format!("{name} {url}"));
        assert_eq!(Vec::from_iter(urls), ["d https://host/g/d", "e /cwd/sub/e"]);
        let starts = [
            "--git-config: submodule.update has no effect: no command",
            "--git-config: submodule.recurse has no effect here",
        ];
        assert!(
            config.warnings.len() == 2
                && starts.iter().zip(&config.warnings).all(|(start, text)| text.starts_with(start)),
            "{:?}",
            config.warnings
        );
        for (given, expected) in [
            ("submodule.x.update:canary", "submodule.update must be checkout, rebase, merge or none"),
            ("submodule.x.active:canary", "submodule.active must be true or false"),
            ("submodule.active:\":(canary)\"", "submodule.active is not a pathspec"),
            ("submodule.x.url:\"ftp://canary/x\"", "submodule.url "),
            (
                "submodule.x.url:\"/canary\",protocol.file.allow:never",
                "submodule.url uses the protocol file, which",
            ),
        ] {
            let errors = errors(&["--git-config", given], &[]);
            assert!(
                errors.len() == 1
                    && errors[0].starts_with(&format!("--git-config: {expected}"))
                    && !errors[0].contains("canary"),
                "{given}: {errors:?}"
            );
        }
    }

    #[test]
    fn settings_that_git_dies_of_are_faults() {
        let given = "protocol.allow:canary,http.proxy:ftp://canary,\"http.canary.sslVerify\":no";
        let added = "\"http.https://u:canary@/.extraHeader\":canary";
        let errors = errors(&["--git-config-add", added], &[("GITSYNC_GIT_CONFIG", given)]);
        let starts = [
            "GITSYNC_GIT_CONFIG: protocol.allow must be",
            "GITSYNC_GIT_CONFIG: http.proxy has an unknown scheme",
            "GITSYNC_GIT_CONFIG: http.sslVerify is for a URL that is neither",
            "--git-config-add: http.extraHeader is for a URL that",
        ];
        assert_eq!(errors.len(), starts.len(), "{errors:?}");
        for (start, error) in starts.iter().zip(&errors) {
            assert!(error.starts_with(start) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn the_guide_names_all_that_is_without_effect() {
        let guide = include_str!("../../../../docs/migrating-from-git-sync.md");
        for name in
            WITHOUT_EFFECT.map(|name| name.replace("url.", "url.<base>.")).iter().chain([&"gc.*".into()])
        {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }
}
