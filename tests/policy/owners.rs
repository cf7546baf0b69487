//! Which fields tell callers apart.

use raincheck::policy::is_credential;

use crate::{read, with_rule};

/// Fields by which common APIs identify their callers.
const CREDENTIALS: &str = "api-key apikey x-api-key x-api-token x-access-token x-auth-token x-authorization \
    x-amz-security-token x-functions-key ocp-apim-subscription-key x-goog-api-key x-rapidapi-key private-token \
    x-vault-token cf-access-jwt-assertion cf-access-client-id cf-access-client-secret xi-api-key dd-api-key \
    dd-application-key x-shopify-access-token x-auth-key x-auth-email x-token token x-session-id session-id sessionid \
    x-client-cert x-tenant-id x_api_key x.api.key openai-organization openai-project-id x-honeycomb-team \
    x-parse-application-id x-hasura-admin-secret x-hasura-user-id x-forwarded-client-cert x-ssl-client-s-dn \
    remote-user x-remote-user x-user-id userid x-username x-accesstoken authtoken x-jwt jwt id-token x-id-token \
    proxy-authorization signature signature-input x-account-id accountid x-account-ids stripe-account \
    x-org-id x-customer-id x-consumer-username x-ms-client-principal-id client-id clientid x-client-secret x-app-id \
    x-device-id password x-password x-credentials x-certificate x-plex-token x-github-token circle-token \
    x-gitlab-token x-auth-user x-apikey xapikey x-keys secret x-sid x-license-key helicone-auth x-oauth";

/// Fields that every request has, or that may be new in a repeated one.
const OTHERS: &str = "accept accept-encoding accept-language cache-control content-type content-length date \
    user-agent x-user-agent x-amz-user-agent host origin referer via forwarded x-forwarded-for x-request-id \
    x-correlation-id x-client-request-id x-ms-client-request-id x-client-version x-amzn-trace-id traceparent \
    tracestate baggage x-b3-traceid cf-ray cf-connecting-ip cf-ipcountry cf-visitor sec-fetch-user sec-fetch-site \
    sec-ch-ua sec-websocket-key if-match if-none-match idempotency-key x-idempotency-key idempotencykey \
    x-idempotency-token x-csrf-token x-xsrf-token x-csrftoken x-recaptcha-token cf-turnstile-token dpop prefer \
    priority range x-requested-with x-tool x-hotkey monkey x-portkey-trace-id raincheck-deadline";

#[test]
fn names_that_mean_a_credential_or_an_identity_tell_callers_apart() {
    let missed: Vec<&str> = CREDENTIALS
        .split_whitespace()
        .filter(|name| !is_credential(name))
        .collect();
    assert_eq!(missed, [""; 0]);
}

#[test]
fn names_that_change_with_each_request_do_not_tell_callers_apart() {
    let wrong: Vec<&str> = OTHERS
        .split_whitespace()
        .filter(|name| is_credential(name))
        .collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_list_of_owner_headers_replaces_the_names_that_count_otherwise() {
    let by_name = read(&with_rule(""));
    let listed = read(&format!(
        "owner_headers = [\"X-Tenant\"]\n{}",
        with_rule("")
    ));
    let none = read(&format!("owner_headers = []\n{}", with_rule("")));
    for (name, found) in [
        ("authorization", [true, true, true]),
        ("cookie", [true, true, true]),
        ("x-tenant", [true, true, false]),
        // Servers may treat it as the listed one.
        ("x_tenant", [true, true, false]),
        ("x-api-key", [true, false, false]),
        ("x-request-id", [false, false, false]),
    ] {
        let policies = [&by_name, &listed, &none];
        assert_eq!(
            policies.map(|policy| policy.is_owner_header(name)),
            found,
            "{name}"
        );
    }
}
