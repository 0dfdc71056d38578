//! TLS by certificates of our own, and a user who may do no more than HemoStat needs.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, RedisTls};

use super::sicken;

#[tokio::test]
async fn over_tls_and_with_a_user_of_its_own_a_container_is_healed() {
    let redis = RedisTls::start().await;
    let mut bed = Bed::new("tls").await;
    bed.set("redis.url", redis.url());
    bed.set("redis.password", redis.password());
    bed.set("redis.ca_file", redis.ca_file().display().to_string());
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    hemostat.until_healed(&patient).await;
    assert!(!bed.said().contains(redis.password()), "the password was told:\n{}", bed.said());
}

#[tokio::test]
async fn whom_no_trusted_certificate_vouches_for_is_not_spoken_to() {
    let redis = RedisTls::start().await;
    let other = RedisTls::start().await;
    let mut bed = Bed::new("tls-other").await;
    bed.set("redis.url", redis.url());
    bed.set("redis.password", redis.password());
    bed.set("redis.ca_file", other.ca_file().display().to_string());
    let status = bed.start("migrate").ended().await;
    assert!(!status.success(), "{}", bed.said());
    let said = bed.said();
    assert!(said.contains("is not trusted") && said.contains("redis.ca_file"), "{said}");
}
