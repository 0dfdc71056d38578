//! TLS with a private CA, and an ACL user with only the rights that HemoStat needs.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{RedisTls, TestDeployment};

use super::make_unhealthy;

#[tokio::test]
async fn over_tls_and_with_an_acl_user_a_container_is_healed() {
    let redis = RedisTls::start().await;
    let mut deployment = TestDeployment::new("tls").await;
    deployment.set("redis.url", redis.url());
    deployment.set("redis.password", redis.password());
    deployment.set("redis.ca_file", redis.ca_file().display().to_string());
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    hemostat.wait_until_recovered(&patient).await;
    assert!(!deployment.output().contains(redis.password()), "the password is in the output:\n{}", deployment.output());
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_is_refused() {
    let redis = RedisTls::start().await;
    let other = RedisTls::start().await;
    let mut deployment = TestDeployment::new("tls-other").await;
    deployment.set("redis.url", redis.url());
    deployment.set("redis.password", redis.password());
    deployment.set("redis.ca_file", other.ca_file().display().to_string());
    let status = deployment.start("migrate").wait_for_exit().await;
    assert!(!status.success(), "{}", deployment.output());
    let output = deployment.output();
    assert!(output.contains("is not trusted") && output.contains("redis.ca_file"), "{output}");
}
